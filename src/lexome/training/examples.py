"""Rows of a table as a network sees them: tokens, features, targets, and their batches."""

# Letters: N rows, S sequences of a batch, T tokens of a batch, G features, C outputs.
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lexome.batches.packing import in_batches, pack
from lexome.batches.padding import in_row_batches, pad
from lexome.batches.windows import LongPolicy, crop, ends
from lexome.layers.layout import Layout, PackedLayout
from lexome.seeds import numpy_generator
from lexome.sequence.alphabet import UnknownPolicy
from lexome.tokenizers.interface import TokenIds, Tokenizer, encode_parts
from lexome.training.pieces import Pieces, put_back
from lexome.training.residue_labels import IGNORED
from lexome.training.residue_vectors import ResidueVectors
from lexome.training.strands import Complement

Rows = NDArray[np.int64]
# Batches are cut from runs of this many batches sorted by length, so that rows pad little.
SORTED_BATCHES = 8
# Residues that replace one another most often in evolution.
SIMILAR = ("LIVM", "AGST", "DENQ", "KRH", "FYW")


class Examples(NamedTuple):
    """All rows of a table, ready to train on: tokens, vectors or neither, and features or none.

    Where residues are answered, a row here is a piece of a sequence (`Pieces`).
    """

    tokens: list[TokenIds] | None
    features_NG: Tensor | None
    targets: NDArray[Any]  # (N,) or (N, K), as in Target.values
    as_rows: bool  # whether the network computes on rows rather than on packed tokens
    pad_id: int
    device: str
    ids: Sequence[str] = ()  # for messages
    vectors: ResidueVectors | None = None  # of a frozen backbone, instead of tokens
    complement: Complement | None = None  # where either strand may be read
    pieces: Pieces | None = None  # where every residue is answered
    pairs_N2: NDArray[np.int64] | None = None  # where rows are two inputs each: which ones
    separator: int | None = None  # what ends the first of two segments, where these have types

    def places(self, rows: Rows) -> Rows:
        """The inputs of some rows; of pairs both, side by side."""
        return rows if self.pairs_N2 is None else self.pairs_N2[rows].ravel()

    def of_sequences(self, rows: Rows) -> Rows:
        """The rows here of some sequences of the table."""
        return rows if self.pieces is None else self.pieces.of_rows(rows)

    def judged(self, outputs_AC: Tensor, rows: Rows) -> tuple[Tensor, NDArray[Any]]:
        """Outputs for some rows and their targets, without what is ignored."""
        if self.pieces is None:
            return outputs_AC, self.targets[rows]
        truth_A = self.pieces.targets(rows)
        known_A = truth_A != IGNORED
        return outputs_AC[torch.from_numpy(known_A).to(outputs_AC.device)], truth_A[known_A]

    def num_judged(self, rows: Rows) -> int:
        """How many targets some rows have."""
        return len(rows) if self.pieces is None else self.pieces.num_judged(rows)

    def in_order(self, found: NDArray[Any], rows: Rows, order: Rows) -> NDArray[Any]:
        """Answers to `rows[order]`, in the order of `rows`."""
        if self.pieces is None:
            return found[np.argsort(order)]
        return put_back(found, order, self.pieces.num_answers(rows))

    def name(self, row: int) -> str:
        """What a message calls a row."""
        return self.ids[row] if self.ids else f"row {row + 1}"

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each row; 1 where only features count."""
        if self.vectors is not None:
            found = self.vectors.lengths
        elif self.tokens is None:
            return np.ones(len(self.targets), np.int64)
        else:
            found = np.fromiter(map(len, self.tokens), np.int64, len(self.tokens))
        if self.pairs_N2 is None:
            return found
        both_N2 = found[self.pairs_N2]  # in rows, both take the room of the longer one
        return np.asarray(2 * both_N2.max(1) if self.as_rows else both_N2.sum(1), np.int64)


class Batch(NamedTuple):
    """What a network takes."""

    tokens_N: Tensor | None
    layout: Layout | None
    features_SG: Tensor | None
    token_A: Tensor | None = None  # of each residue that is answered: its token in the batch
    place_A: Tensor | None = None  # and its place in a token of several letters
    types_N: Tensor | None = None  # 1 for tokens of a second segment


class Noise(NamedTuple):
    """Changes made to the tokens of training rows, drawn anew each time."""

    mask: float
    substitute: float


Inputs = list[NDArray[Any]]  # uint8 (L,) tokens, or float16 (L, D) vectors


def inputs_of(examples: Examples, rows: Rows) -> Inputs | None:
    """Tokens (L,) or vectors (L, D) of some rows; None where only features count."""
    places = examples.places(rows)
    if examples.vectors is not None:
        return [examples.vectors.one(place) for place in places]
    return None if examples.tokens is None else [examples.tokens[place] for place in places]


def some_inputs(examples: Examples, inputs: Inputs, rows: Rows) -> Inputs:
    """Of the inputs of a batch those of some of its rows, given by their places in it."""
    if examples.pairs_N2 is None:
        return [inputs[row] for row in rows]
    return [inputs[2 * row + side] for row in rows for side in range(2)]


def encode_examples(
    sequences: Sequence[str], ids: Sequence[str], long: LongPolicy, tokenizer: Tokenizer
) -> list[TokenIds]:
    """Token ids of clean sequences; letters for which there is no token were mapped before.

    Where a crop leaves both ends of a sequence, no token lies across the cut.
    """
    policy: UnknownPolicy = "refuse" if tokenizer.is_per_letter else "map"
    if long.kind == "crop" and tokenizer.is_per_letter:
        sequences = [crop(sequence, long.head, long.tail) for sequence in sequences]
    elif long.kind == "crop":
        both = zip(sequences, ids, strict=True)
        return [
            encode_parts(tokenizer, ends(sequence, long.head, long.tail), policy, id)
            for sequence, id in both
        ]
    batch = tokenizer.encode_many(sequences, policy)
    return [batch.one(i) for i in range(len(sequences))]


def make_batch(examples: Examples, rows: Rows, inputs: Inputs | None) -> Batch:
    """The tensors of some rows; `inputs` are theirs, with or without noise."""
    batch = _inputs_batch(examples, rows, inputs)
    if examples.pieces is None or batch.layout is None:
        return batch
    token_A, place_A = examples.pieces.answering(rows, batch.layout, examples.device)
    return batch._replace(token_A=token_A, place_A=place_A)


def _inputs_batch(examples: Examples, rows: Rows, inputs: Inputs | None) -> Batch:
    features_SG = None
    if examples.features_NG is not None:
        places = torch.from_numpy(examples.places(rows))
        features_SG = examples.features_NG[places].to(examples.device)
    if inputs is None:
        return Batch(None, None, features_SG)
    if examples.vectors is not None:
        vectors_TD = torch.from_numpy(np.concatenate(inputs)).to(examples.device).float()
        return Batch(vectors_TD, PackedLayout(list(map(len, inputs)), examples.device), features_SG)
    types_N = None
    if examples.separator is not None:  # only of models that compute on packed tokens
        kinds = [second_segment(ids, examples.separator) for ids in inputs]
        types_N = torch.from_numpy(np.concatenate(kinds)).to(examples.device)
    if examples.as_rows:
        padded = pad(inputs, examples.pad_id, examples.device)
        return Batch(padded.tokens_SL, padded.layout, features_SG)
    packed = pack(inputs, examples.device)
    return Batch(packed.tokens_T, packed.layout, features_SG, types_N=types_N)


def second_segment(ids: TokenIds, separator: int) -> NDArray[np.int64]:
    """1 for each token behind the first separator, as BERT's token types are.

    >>> second_segment(np.array([2, 7, 7, 3, 8, 3]), 3).tolist()
    [0, 0, 0, 0, 1, 1]
    """
    is_end = ids == separator
    return np.asarray(np.cumsum(is_end) - is_end > 0, np.int64)


def micro_batches(
    lengths: NDArray[np.int64], rows: Rows, max_tokens: int, as_rows: bool = False
) -> Iterator[Rows]:
    """`rows` in runs of at most `max_tokens` tokens; as rows, padding counts."""
    group = in_row_batches if as_rows else in_batches
    for run in group(((int(row), int(lengths[row])) for row in rows), max_tokens):
        yield np.array(run, np.int64)


def epoch_batches(
    rows: Rows, lengths: NDArray[np.int64], batch_size: int, seed: int, epoch: int
) -> list[Rows]:
    """The batches of an epoch in their order, a function of seed and epoch alone."""
    generator = numpy_generator("batches", seed, epoch)
    shuffled = generator.permutation(rows)
    batches = []
    for start in range(0, len(shuffled), batch_size * SORTED_BATCHES):
        run = shuffled[start : start + batch_size * SORTED_BATCHES]
        run = run[np.argsort(lengths[run], kind="stable")]
        batches += [run[i : i + batch_size] for i in range(0, len(run), batch_size)]
    return [batches[i] for i in generator.permutation(len(batches))]


def num_others(num_positives: int, num_rows: int, share: float) -> int:
    """How many rows an epoch draws beside every positive, for positives to make up `share`."""
    others = num_rows - num_positives
    if share <= 0 or not num_positives or not others or num_positives / num_rows >= share:
        return others
    return max(round(num_positives * (1 - share) / share), 1)


def draw_rows(rows: Rows, positive: NDArray[np.bool_], share: float, seed: int, epoch: int) -> Rows:
    """The rows of an epoch: all, or every positive with as many others as `share` leaves room for.

    The others are dealt out from one shuffled pack after another, so that all are seen equally
    often over the epochs.
    """
    yes, no = rows[positive], rows[~positive]
    wanted = num_others(len(yes), len(rows), share)
    if wanted == len(no):
        return rows
    first, last = epoch * wanted, (epoch + 1) * wanted
    packs = [
        numpy_generator("pack", seed, number).permutation(no)
        for number in range(first // len(no), (last - 1) // len(no) + 1)
    ]
    offset = (first // len(no)) * len(no)
    return np.concatenate([yes, np.concatenate(packs)[first - offset : last - offset]])


def add_noise(
    inputs: Inputs, noise: Noise, tokenizer: Tokenizer, generator: np.random.Generator
) -> Inputs:
    """Replace some residues by similar ones, then hide some; special tokens stay.

    Of vectors some become zeros; what they were made from stays as it was. What a similar token
    would be is only known of residues.
    """
    if not noise.mask and not noise.substitute:
        return inputs
    if inputs[0].ndim == 2:
        return [x_LD * (generator.random((len(x_LD), 1)) >= noise.mask) for x_LD in inputs]
    lengths = [len(ids) for ids in inputs]
    ids_T = np.concatenate(inputs)
    borders = np.cumsum([0, *lengths])
    is_residue_T = np.ones(len(ids_T), bool)
    for back in range(tokenizer.num_after):
        is_residue_T[borders[1:] - 1 - back] = False
    for ahead in range(tokenizer.num_before):
        is_residue_T[borders[:-1] + ahead] = False
    if tokenizer.num_after:
        is_residue_T &= ids_T != tokenizer.eos_id  # also between two sequences
    draw_T = generator.random(len(ids_T))
    draw_choice_T = generator.random(len(ids_T))
    if tokenizer.is_per_letter and set("".join(SIMILAR)) <= set(tokenizer.id_of):
        table, sizes = _similar_table(tokenizer)
        replaced_T = (draw_T < noise.substitute) & is_residue_T
        choice_T = (draw_choice_T * sizes[ids_T]).astype(np.int64)
        ids_T = np.where(replaced_T, table[ids_T, choice_T], ids_T)
    ids_T[(generator.random(len(ids_T)) < noise.mask) & is_residue_T] = tokenizer.mask_id
    return np.split(ids_T.astype(inputs[0].dtype), np.cumsum(lengths)[:-1])


def _similar_table(
    tokenizer: Tokenizer,
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """For each token the tokens that may replace it (itself among them), and how many."""
    num = len(tokenizer.vocabulary)
    table = np.tile(np.arange(num, dtype=np.uint8)[:, None], (1, max(map(len, SIMILAR))))
    sizes = np.ones(num, np.int64)
    for group in SIMILAR:
        ids = [tokenizer.id_of[letter] for letter in group]
        for i in ids:
            table[i, : len(ids)] = ids
            sizes[i] = len(ids)
    return table, sizes
