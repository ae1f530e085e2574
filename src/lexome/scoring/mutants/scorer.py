"""The door of every rule for mutants: a reference and mutants in, a score or a reason each."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lexome.sequence.mutations import Mutant, fill_in, find_mismatch

FloatArray = NDArray[np.float64]


class Outcome(NamedTuple):
    """A score, or why there is none."""

    score: float | None
    reason: str = ""  # in words; empty where there is a score


class MutantScorer(NamedTuple):
    """A rule made ready: of a model, of an alignment, of a substitution matrix.

    `compute` gets mutants whose reference residues were found to be right, every one of them
    spelled; it answers each by a score (natural logarithms where it has a unit; higher: more
    likely, fitter) or by the reason in words. The wild type itself scores 0. Answers do not depend
    on which mutants stand together.

    `table` is there where a mutant's score is the sum over its substitutions: the scores (L, 20) of
    putting each of AMINO_ACIDS at each position, NaN where there is none, 0 for the wild type.
    """

    rule: str
    definition: str  # with its source and what the sign means
    fingerprint: tuple[object, ...]  # all that a score depends on besides sequence and mutant
    compute: Callable[[str, Sequence[Mutant]], list[float | str]]
    table: Callable[[str], FloatArray] | None = None


def score_mutants(scorer: MutantScorer, sequence: str, mutants: Sequence[Mutant]) -> list[Outcome]:
    """One outcome a mutant, in order; those that disagree with the reference say where."""
    outcomes = [Outcome(None, find_mismatch(mutant, sequence)) for mutant in mutants]
    right = [i for i, outcome in enumerate(outcomes) if not outcome.reason]
    answers = scorer.compute(sequence, [fill_in(mutants[i], sequence) for i in right])
    for i, answer in zip(right, answers, strict=True):
        outcomes[i] = Outcome(None, answer) if isinstance(answer, str) else Outcome(float(answer))
    return outcomes
