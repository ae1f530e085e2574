"""The baseline rule of mutants: a substitution matrix, which knows no sequence but the pair."""

# Letters: L residues.
from collections.abc import Sequence

import numpy as np

from lexome.scoring.mutants.scorer import FloatArray, MutantScorer
from lexome.sequence.blosum62 import BLOSUM62
from lexome.sequence.mutations import AMINO_ACIDS, Mutant

BLOSUM62_RULE = "blosum62"
_DEFINITION = (
    "sum over substitutions of BLOSUM62[reference, alternative] - BLOSUM62[reference, reference], "
    "in half-bits (Henikoff and Henikoff 1992); higher: more readily exchanged; no model is asked"
)


def blosum62_scorer() -> MutantScorer:
    """The rule `blosum62`: what is exchanged for what, wherever it stands.

    >>> from lexome.scoring.mutants.scorer import score_mutants
    >>> from lexome.sequence.mutations import parse_mutant
    >>> mutants = [parse_mutant(text) for text in ("K2R", "K2W", "K2*")]
    >>> [outcome.score for outcome in score_mutants(blosum62_scorer(), "MKT", mutants)]
    [-3.0, -8.0, None]
    """
    fingerprint = (BLOSUM62_RULE, "blosum62")
    return MutantScorer(BLOSUM62_RULE, _DEFINITION, fingerprint, _compute, _table)


def _compute(sequence: str, mutants: Sequence[Mutant]) -> list[float | str]:
    return [_score(mutant) for mutant in mutants]


def _score(mutant: Mutant) -> float | str:
    if not mutant.keeps_length:
        return "a substitution matrix has no score for insertions and deletions"
    total = 0
    for edit in mutant.edits:
        if (edit.ref, edit.alt) not in BLOSUM62:
            return f"{edit} is no exchange among the 20 amino acids"
        total += BLOSUM62[edit.ref, edit.alt] - BLOSUM62[edit.ref, edit.ref]
    return float(total)


def _table(sequence: str) -> FloatArray:
    rows = [
        [BLOSUM62.get((ref, alt), np.nan) - BLOSUM62.get((ref, ref), np.nan) for alt in AMINO_ACIDS]
        for ref in sequence
    ]
    return np.array(rows, np.float64).reshape(len(sequence), len(AMINO_ACIDS))
