"""From mutants back to the protein that they were made of."""

import pytest

from lexome.errors import InputError
from lexome.sequence.mutations import apply_mutant, fill_in, parse_mutant
from lexome.sequence.wild_type import find_wild_type, undo_mutant

PROTEIN = "MKTAYIAKQR"


@pytest.mark.parametrize(
    "text", ["K2R", "M1A:R10K", "T3del", "T3_Y5del", "A4_Y5insGG", "K2_T3delinsW", "A4dup:K8R", "="]
)
def test_undoing_a_mutant_gives_back_the_wild_type(text: str) -> None:
    mutant = fill_in(parse_mutant(text), PROTEIN)
    assert undo_mutant(mutant, apply_mutant(mutant, PROTEIN)) == PROTEIN


def test_rows_of_two_proteins_are_refused_by_name() -> None:
    rows = [(parse_mutant("K2R"), "MRTAY"), (parse_mutant("T3A"), "MKAAF")]
    with pytest.raises(InputError, match=r"row 2: saw T3A.*from residue 5 on"):
        find_wild_type(rows)
    with pytest.raises(InputError, match="K2R: saw A at 2"):
        find_wild_type([(parse_mutant("K2R"), "MATAY")])
    assert find_wild_type(rows[:1]) == "MKTAY"
