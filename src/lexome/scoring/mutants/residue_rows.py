"""log p of every amino acid at asked positions, by a masked language model, in windows if long."""

# Letters: P positions asked, A = 20 amino acids, T tokens over a batch, V vocabulary.
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lexome.batches.windows import check_length, parse_long, plan_windows
from lexome.errors import InputError
from lexome.inference.model import Model
from lexome.scoring.masked import Question, ask, check_encoder
from lexome.sequence.mutations import AMINO_ACIDS

FloatArray = NDArray[np.float64]
RowsOf = Callable[[str, Sequence[int]], FloatArray]  # (sequence, positions from 0) -> (P, A)


class Asked(NamedTuple):
    """A text as tokens, and the tokens at which the amino acids' probabilities are asked."""

    name: str
    ids: list[int]
    places: list[int]


def check_masked(model: Model) -> None:
    """Refuse a model that cannot fill in a hidden amino acid.

    Raises:
        InputError: a causal model, a model of DNA, or weights without a language-model head.
    """
    check_encoder(model, "marginals of amino acids")
    tokenizer, name = model.tokenizer, f"model {model.card.name}"
    if not tokenizer.alphabet.is_protein or not tokenizer.is_per_letter:
        seen = f"tokens of {tokenizer.alphabet.name}"
        raise InputError(name, seen, "one of proteins, a token a residue", "protein-mini")


def read_at(model: Model, asked: Iterable[Asked]) -> Iterator[FloatArray]:
    """Natural logarithms (P, A) at the places of each text, in order.

    Probabilities are shared out among the whole vocabulary, as fair-esm's published code does.
    """
    letters_A = torch.tensor([model.tokenizer.id_of[a] for a in AMINO_ACIDS], device=model.device)

    def pick(log_p_PV: Tensor, labels_P: Tensor) -> Tensor:
        return log_p_PV[:, letters_A]

    questions = (
        Question(one.name, np.array(one.ids), places, np.zeros_like(places))
        for one in asked
        for places in [np.array(one.places)]
    )
    for found_PA in ask(model, questions, pick):
        yield found_PA.astype(np.float64)


def find_limit(model: Model, length: int, long: str, name: str = "the reference") -> int:
    """How many residues go through at once: all, or where `long` is "window" what fits.

    Raises:
        InputError: a sequence beyond the context under "refuse", or under "whole" where the model
            learned no position there.
    """
    policy, specials = parse_long(long), model.tokenizer.num_specials
    limit = model.card.context - specials
    if policy.kind == "window":
        return min(length, limit)
    if policy.kind == "crop":
        raise InputError("long", repr(long), "refuse, whole or window", "`--long window`")
    most = limit if policy.kind == "refuse" else (model.most_tokens or length + specials) - specials
    check_length(length, most, name)
    return length


def rows_seen(model: Model, long: str) -> RowsOf:
    """Rows of a model that sees the sequence as it is: one reading, whatever is asked.

    In windows that overlap by half, each position is taken from where it stands furthest from a
    cut edge.
    """

    def read(sequence: str, positions: Sequence[int]) -> FloatArray:
        size = find_limit(model, len(sequence), long)
        windows = plan_windows(len(sequence), size)
        before = model.tokenizer.num_before
        asked = []
        for w in windows:
            kept = range(w.keep_start, w.keep_end)
            ids = model.tokenizer.encode(sequence[w.start : w.end])
            asked.append(Asked("the reference", ids, [p - w.start + before for p in kept]))
        return np.concatenate(list(read_at(model, asked)))[list(positions)]

    return read


def rows_hidden(model: Model, long: str) -> RowsOf:
    """Rows of a model from which the position itself is hidden: one reading a position.

    A long sequence is read in the window that has the position in its middle, moved inwards at
    the ends.
    """

    def read(sequence: str, positions: Sequence[int]) -> FloatArray:
        size = find_limit(model, len(sequence), long)
        ids = model.tokenizer.encode(sequence)
        asked = (hide(model, ids, [p], centre(p, len(sequence), size)) for p in positions)
        found = list(read_at(model, asked))
        return np.concatenate(found) if found else np.empty((0, len(AMINO_ACIDS)))

    return read


def centre(position: int, length: int, size: int) -> range:
    """The window of `size` residues with a position in its middle, moved inwards at the ends.

    >>> centre(50, 100, 11), centre(1, 100, 11), centre(99, 100, 11)
    (range(45, 56), range(0, 11), range(89, 100))
    """
    start = min(max(position - size // 2, 0), length - size)
    return range(start, start + size)


def hide(model: Model, ids: Sequence[int], positions: Sequence[int], window: range) -> Asked:
    """The tokens of a window with some residues masked, which are asked for."""
    tokenizer = model.tokenizer
    before, end = tokenizer.num_before, len(ids) - tokenizer.num_after
    part = [
        *ids[:before],
        *ids[before + window.start : before + window.stop],
        *ids[end:],
    ]
    places = [before + p - window.start for p in positions]
    for place in places:
        part[place] = tokenizer.mask_id
    return Asked("the reference", part, places)


class RememberedRows:
    """Rows of one reference, each made once: tables come in parts, and mostly of one protein."""

    def __init__(self, read: RowsOf, all_at_once: bool) -> None:
        self._read, self._all_at_once = read, all_at_once
        self._sequence = ""
        self._known: dict[int, FloatArray] = {}

    def __call__(self, sequence: str, positions: Sequence[int]) -> FloatArray:
        """(P, A) at these positions."""
        if sequence != self._sequence:
            self._sequence, self._known = sequence, {}
        lacking = sorted(set(positions) - set(self._known))
        if lacking:
            wanted = range(len(sequence)) if self._all_at_once else lacking
            self._known.update(zip(wanted, self._read(sequence, wanted), strict=True))
        if not positions:
            return np.empty((0, len(AMINO_ACIDS)))
        return np.stack([self._known[p] for p in positions])
