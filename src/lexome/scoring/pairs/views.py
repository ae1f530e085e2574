"""The ways in which a pair of windows is read: both strands, and every phase of the k-mers."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from lexome.errors import InputError
from lexome.inference.dialects import find_dialect
from lexome.inference.model import Model
from lexome.scoring.pairs.pair import Pair
from lexome.scoring.rules import DIRECTIONS, turn
from lexome.sequence.alphabet import foreign_letters
from lexome.tokenizers.six_mers import SixMerTokenizer

PAIRS_AT_ONCE = 64  # so that what is held does not grow with a table


class Views(NamedTuple):
    """How often, and how, every pair is read; a pair's score is the mean over all of it."""

    strands: str  # forward, reverse or both
    num_phases: int = 1

    def of(self, pair: Pair) -> list[Pair]:
        """The pair as it is read each time.

        A phase is left out where it would cut off the change itself.
        """
        turned = {"forward": (False,), "reverse": (True,), "both": (False, True)}[self.strands]
        strands = [turn_pair(pair) if against else pair for against in turned]
        return [
            one._replace(ref=one.ref[cut:], alt=one.alt[cut:], start=one.start - cut)
            for one in strands
            for cut in range(self.num_phases)
            if cut == 0 or one.start >= cut
        ]


def find_views(model: Model, strands: str | None, in_phases: bool = True) -> Views:
    """How pairs are read by a model: DNA on both strands, six-mers from all of six first letters.

    Raises:
        InputError: no such direction, or the other strand of a protein.
    """
    is_dna = find_dialect(model.tokenizer).is_dna
    strands = strands or ("both" if is_dna else "forward")
    if strands not in DIRECTIONS:
        raise InputError("strands", repr(strands), ", ".join(DIRECTIONS), "`strands='both'`")
    if strands != "forward" and not is_dna:
        raise InputError(
            "strands",
            f"{strands!r} for a model that is none of DNA",
            "forward",
            "leaving strands out",
        )
    has_phases = in_phases and isinstance(model.tokenizer, SixMerTokenizer)
    return Views(strands, model.tokenizer.k if has_phases else 1)  # type: ignore[attr-defined]


def turn_pair(pair: Pair) -> Pair:
    """The same pair on the other strand.

    >>> turn_pair(Pair("one", "AACG", "AATG", 2))
    Pair(name='one', ref='CGTT', alt='CATT', start=1)
    """
    ref, alt = turn(pair.ref, True), turn(pair.alt, True)
    return Pair(pair.name, ref, alt, find_start(ref, alt))


def find_start(ref: str, alt: str) -> int:
    """Where two windows first differ, from 0; the end of the shorter one where they do not."""
    letters = enumerate(zip(ref, alt, strict=False))
    return next((i for i, (a, b) in letters if a != b), min(len(ref), len(alt)))


def find_changed(pair: Pair) -> list[int]:
    """Every place, from 0, at which windows of equal length differ."""
    return [i for i, (a, b) in enumerate(zip(pair.ref, pair.alt, strict=True)) if a != b]


def find_obstacle(model: Model, pair: Pair) -> str:
    """Why a pair cannot be scored by any rule, in words; empty: it can."""
    if len(pair.ref) != len(pair.alt):
        return f"windows of {len(pair.ref):,} and {len(pair.alt):,} letters, not of equal length"
    for kind, text in (("reference", pair.ref), ("changed", pair.alt)):
        if foreign := foreign_letters(text, model.tokenizer.alphabet):
            at, letter = foreign[0]
            return f"the {kind} window has {letter!r} at {at}, which the model has no letter for"
        if not text:
            return "an empty window"
        if len(text) + model.tokenizer.num_specials > model.card.context:
            num = len(model.tokenizer.encode(text, "refuse", pair.name))
            if num > model.card.context:
                return f"{num:,} tokens, beyond the model's context of {model.card.context:,}"
    return ""


def score_in_turns(
    model: Model,
    pairs: Sequence[Pair],
    views: Views,
    compute: Callable[[Sequence[Pair]], Iterator[float]],
    refuse: Callable[[Pair], str] = lambda pair: "",
) -> list[float | str]:
    """The mean of a pair's views, or the reason why not, in order.

    Args:
        compute: a number for each view, in order.
        refuse: why this rule cannot score a pair, in words; empty: it can.
    """
    answers: list[float | str] = [find_obstacle(model, one) or refuse(one) for one in pairs]
    right = [i for i, answer in enumerate(answers) if not answer]
    for begin in range(0, len(right), PAIRS_AT_ONCE):
        part = right[begin : begin + PAIRS_AT_ONCE]
        seen = [views.of(pairs[i]) for i in part]
        found = compute([one for group in seen for one in group])
        for i, group in zip(part, seen, strict=True):
            value = float(np.mean([next(found) for _ in group]))
            answers[i] = value if np.isfinite(value) else "a NaN in its scores: try `--dtype fp32`"
    return answers
