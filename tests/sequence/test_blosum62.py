"""The matrix against Biopython's."""

from Bio.Align import substitution_matrices

from lexome.sequence.blosum62 import BLOSUM62
from lexome.sequence.mutations import AMINO_ACIDS


def test_the_table_is_that_of_biopython() -> None:
    theirs = substitution_matrices.load("BLOSUM62")
    assert len(BLOSUM62) == 400
    for row in AMINO_ACIDS:
        for column in AMINO_ACIDS:
            assert BLOSUM62[row, column] == theirs[row][column] == BLOSUM62[column, row]
