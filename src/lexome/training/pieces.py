"""Sequences of which every residue is answered, cut into pieces that a model takes at once."""

# Letters: P pieces, L letters of a sequence, T tokens of a sequence, A letters that a piece
#          answers, Q letters that some pieces answer, N1 sequences and one.
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lexome.batches.windows import plan_windows
from lexome.errors import InputError
from lexome.layers.layout import Layout, PackedLayout
from lexome.tokenizers.interface import TokenIds, Tokenizer
from lexome.training.residue_labels import IGNORED, spread_ranges

Ints = NDArray[np.int64]
ShortInts = NDArray[np.int32]
# Letters of a token that are told apart by their place in it; later ones count as the last.
MOST_PLACES = 16


class Pieces(NamedTuple):
    """Which token answers which residue; a sequence's pieces answer its residues in order."""

    bounds_N1: Ints  # sequence i has the pieces [bounds[i], bounds[i + 1])
    token_PA: list[ShortInts]  # the token of a piece that answers each of its letters
    place_PA: list[ShortInts] | None  # the letter's place in it; None: a token a letter
    targets_PA: list[Ints]  # the class of each, or IGNORED

    def of_rows(self, rows: Ints) -> Ints:
        """The pieces of some sequences."""
        return spread_ranges(self.bounds_N1[:-1][rows], np.diff(self.bounds_N1)[rows])

    def targets(self, pieces: Ints) -> Ints:
        """The classes of the residues that some pieces answer."""
        return np.concatenate([self.targets_PA[piece] for piece in pieces])

    def num_judged(self, pieces: Ints) -> int:
        """Residues among them that are not ignored."""
        return sum(int((self.targets_PA[piece] != IGNORED).sum()) for piece in pieces)

    def num_answers(self, pieces: Ints) -> Ints:
        """How many residues each of some pieces answers."""
        return np.fromiter((len(self.token_PA[p]) for p in pieces), np.int64, len(pieces))

    def answering(self, pieces: Ints, layout: Layout, device: str) -> tuple[Tensor, Tensor | None]:
        """For each residue that a batch answers the token among all of the batch's, and its place.

        Tokens are counted through the batch as it lies: end to end, or in rows with padding.
        """
        if isinstance(layout, PackedLayout):
            starts = layout.bounds[:-1]
        else:
            starts = [i * layout.real_N.shape[1] for i in range(len(pieces))]
        parts = [self.token_PA[p] + start for p, start in zip(pieces, starts, strict=True)]
        token_Q = torch.from_numpy(np.concatenate(parts).astype(np.int64)).to(device)
        if self.place_PA is None:
            return token_Q, None
        places = np.concatenate([self.place_PA[p] for p in pieces]).astype(np.int64)
        return token_Q, torch.from_numpy(places).to(device)


def put_back(found: NDArray[Any], order: Ints, lengths: Ints) -> NDArray[Any]:
    """Answers to pieces that were taken in another order, in their own.

    Args:
        found: answers to the pieces `order[0]`, `order[1]`, ..., end to end.
        lengths: how many answers each piece has, in its own order.

    >>> put_back(np.array([7, 1, 2]), np.array([1, 0]), np.array([2, 1])).tolist()
    [1, 2, 7]
    """
    sorted_lengths = lengths[order]
    starts = np.empty_like(lengths)
    starts[order] = np.cumsum(sorted_lengths) - sorted_lengths
    return found[spread_ranges(starts, lengths)]


def cut_pieces(
    sequences: Sequence[str],
    ids: Sequence[str],
    targets: Ints,
    tokenizer: Tokenizer,
    size: int | None,
) -> tuple[list[TokenIds], Pieces]:
    """The tokens of every piece, special ones around each, and what they answer.

    A sequence beyond `size` tokens goes through in windows that overlap by half, and each residue
    is answered by the window in which it stands furthest from a cut.

    Args:
        targets: the classes of all residues, sequences end to end.
        size: tokens that a model takes beside the special ones; None where there is no limit.
    """
    tokens: list[TokenIds] = []
    token_PA: list[ShortInts] = []
    place_PA: list[ShortInts] = []
    targets_PA: list[Ints] = []
    bounds = [0]
    before, after = tokenizer.num_before, tokenizer.num_after
    start = 0
    for sequence, id in zip(sequences, ids, strict=True):
        whole = tokenizer.encode_many([sequence], "map", [id]).one(0)
        inner = whole[tokenizer.inner]
        token_L, place_L = _tokens_of_letters(tokenizer, sequence, id)
        target_L = targets[start : start + len(sequence)]
        start += len(sequence)
        for window in plan_windows(len(inner), size or len(inner)):
            parts = [whole[:before], inner[window.start : window.end], whole[len(whole) - after :]]
            tokens.append(np.concatenate(parts))
            first, last = np.searchsorted(token_L, [window.keep_start, window.keep_end])
            token_PA.append(token_L[first:last] - np.int32(window.start - before))
            if place_L is not None:
                place_PA.append(place_L[first:last])
            targets_PA.append(target_L[first:last])
        bounds.append(len(tokens))
    places = None if tokenizer.is_per_letter else place_PA
    return tokens, Pieces(np.array(bounds), token_PA, places, targets_PA)


def whole_pieces(
    sequences: Sequence[str], ids: Sequence[str], targets: Ints, tokenizer: Tokenizer
) -> Pieces:
    """A piece a sequence, for vectors that were made of all its tokens but the special ones."""
    both = [_tokens_of_letters(tokenizer, s, id) for s, id in zip(sequences, ids, strict=True)]
    ends = np.cumsum([len(sequence) for sequence in sequences])
    places = None if tokenizer.is_per_letter else [place for _, place in both if place is not None]
    split = [np.asarray(part) for part in np.split(targets, ends[:-1])]
    return Pieces(np.arange(len(sequences) + 1), [token for token, _ in both], places, split)


def _tokens_of_letters(
    tokenizer: Tokenizer, sequence: str, id: str
) -> tuple[ShortInts, ShortInts | None]:
    """For each letter the token that covers it, special ones not counted, and its place there."""
    if tokenizer.is_per_letter:
        return np.arange(len(sequence), dtype=np.int32), None
    spans = np.array(tokenizer.spans(sequence, "map", id)[tokenizer.inner], np.int64)
    if not len(spans):
        raise InputError(id, "0 tokens", "at least one", "to drop this sequence")
    return find_covering(spans, len(sequence))


def find_covering(spans: Ints, length: int) -> tuple[ShortInts, ShortInts]:
    """The token of each letter, and the letter's place in it.

    Of several that cover a letter (overlapping k-mers) it is the one whose middle is nearest; a
    letter that none covers belongs to the nearest.

    Args:
        spans: the letters [start, end) of each token, (T, 2), along the sequence.

    >>> find_covering(np.array([[0, 3], [3, 4]]), 4)[0].tolist()
    [0, 0, 0, 1]
    >>> find_covering(np.array([[0, 3], [1, 4], [2, 5]]), 5)[0].tolist()
    [0, 0, 1, 2, 2]
    """
    letter_L = np.arange(length)
    middle_T = (spans[:, 0] + spans[:, 1] - 1) / 2
    # Middles rise along the sequence, so the token looked for is beside the nearest middle.
    near_L = np.searchsorted(middle_T, letter_L)
    best_L, distance_L = np.zeros(length, np.int64), np.full(length, np.inf)
    for step in (-1, 0, 1):
        token_L = (near_L + step).clip(0, len(spans) - 1)
        covers_L = (spans[token_L, 0] <= letter_L) & (letter_L < spans[token_L, 1])
        far_L = np.abs(middle_T[token_L] - letter_L) + np.where(covers_L, 0.0, length)
        best_L = np.where(far_L < distance_L, token_L, best_L)
        distance_L = np.minimum(far_L, distance_L)
    place_L = (letter_L - spans[best_L, 0]).clip(0, MOST_PLACES - 1)
    return best_L.astype(np.int32), place_L.astype(np.int32)
