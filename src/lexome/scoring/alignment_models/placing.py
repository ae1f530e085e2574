"""Where in a family's columns the changes of mutants lie, or why they cannot be scored."""

# Letters: L residues of the protein, C columns, A letters (20).
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from lexome.scoring.alignment_models.family import FamilyModel
from lexome.scoring.mutants.scorer import FloatArray, MutantScorer
from lexome.sequence.focus import Focus, place_query
from lexome.sequence.mutations import AMINO_ACIDS, Edit, Mutant

Changes = list[tuple[int, int]]  # column, new letter
LETTER_CODES = {letter: i for i, letter in enumerate(AMINO_ACIDS)}


def column_positions(focus: Focus, columns: Sequence[int], sequence: str) -> dict[int, int]:
    """Position in the protein (from 1) -> column of the model.

    Raises:
        InputError: the query is not a part of the protein, with the numbering that fits.
    """
    start = place_query(focus, sequence)
    return {start + focus.offsets[column] + 1: i for i, column in enumerate(columns)}


def place_mutants(
    rule: str, positions: dict[int, int], mutants: Sequence[Mutant]
) -> list[Changes | str]:
    """The changed columns of each mutant, or the reason why it has no score."""
    return [_place(rule, positions, mutant) for mutant in mutants]


def _place(rule: str, positions: dict[int, int], mutant: Mutant) -> Changes | str:
    if not mutant.keeps_length:
        return f"the rule {rule} scores substitutions only, not {mutant} (the rule hmm does)"
    changes = []
    for edit in mutant.edits:
        if reason := find_reason(positions, edit):
            return reason
        if edit.ref != edit.alt:
            changes.append((positions[edit.position], LETTER_CODES[edit.alt]))
    return changes


def find_reason(positions: dict[int, int], edit: Edit) -> str:
    """Why a substitution cannot be scored; empty: it can."""
    for letter in edit.ref + edit.alt:
        if letter not in LETTER_CODES:
            return f"{letter} in {edit} is none of the 20 amino acids"
    if edit.position in positions:
        return ""
    first, last = min(positions), max(positions)
    if first <= edit.position <= last:
        return (
            f"position {edit.position} lies in none of the alignment's columns "
            f"(an insertion of its query, or a column that was left out)"
        )
    return f"position {edit.position} lies outside the alignment's columns {first}-{last}"


def query_codes(model: FamilyModel) -> NDArray[np.int64]:
    """The query's letters in the model's columns (C,); 20 where it is none of the 20."""
    letters = model.focus.letters
    return np.array([LETTER_CODES.get(letters[c], len(AMINO_ACIDS)) for c in model.columns])


def spread_table(scores_CA: FloatArray, positions: dict[int, int], sequence: str) -> FloatArray:
    """Scores of columns as scores of the protein's positions (L, A), NaN where there is none."""
    table_LA = np.full((len(sequence), len(AMINO_ACIDS)), np.nan)
    for position, column in positions.items():
        if sequence[position - 1] in LETTER_CODES:
            table_LA[position - 1] = scores_CA[column]
    return table_LA


def scorer_of(
    model: FamilyModel, definition: str, score: Callable[[list[Changes]], FloatArray]
) -> MutantScorer:
    """A scorer from a function that scores changed columns."""

    def compute(sequence: str, mutants: Sequence[Mutant]) -> list[float | str]:
        positions = column_positions(model.focus, model.columns, sequence)
        placed = place_mutants(model.rule, positions, mutants)
        wanted = [changes for changes in placed if not isinstance(changes, str)]
        scores = iter(score(wanted).tolist() if wanted else [])
        return [one if isinstance(one, str) else next(scores) for one in placed]

    return MutantScorer(model.rule, definition, model.fingerprint(), compute)
