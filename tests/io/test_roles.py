"""Columns: taken as asked, else guessed by their names, else by what they hold."""

import polars as pl
import pytest

from lexome.errors import InputError
from lexome.io.roles import find_column, guess_column
from lexome.results.types import ColumnChoice

LONG = ["MKTAYIAKQRQISFV", "GAVLIMFWPSTCYNQ"]


@pytest.mark.parametrize(
    ("columns", "role", "name"),
    [
        (["ACC", "Kingdom", "Sequence"], "sequence", "Sequence"),
        (["sid", "fasta"], "sequence", "fasta"),
        (["protein", "AA Seq"], "sequence", "AA Seq"),
        (["mutant", "mutated_sequence", "DMS_score"], "sequence", "mutated_sequence"),
        (["ACC", "Kingdom", "Sequence"], "id", "ACC"),
        (["Entry Name", "Entry"], "id", "Entry"),
        (["sid", "fasta"], "id", "sid"),
        (["x", "Target"], "label", "Target"),
        (["y", "label"], "label", "label"),
    ],
)
def test_names_that_people_use_are_known(columns, role, name):
    assert guess_column(columns, role) == ColumnChoice(name, is_guessed=True)


def test_a_column_asked_for_is_no_guess():
    assert guess_column(["sequence", "other"], "sequence", "other") == ColumnChoice("other", False)


def test_a_column_asked_for_in_vain_is_named_with_the_closest():
    with pytest.raises(InputError) as caught:
        guess_column(["Mitochondrion", "Plastid"], "label", "mitochondria", where="t.csv")
    assert caught.value.where == "t.csv"
    assert caught.value.seen == "no column 'mitochondria'"
    assert caught.value.remedy == "'Mitochondrion'"


def test_nothing_that_fits_is_none_or_an_error_with_the_option():
    assert guess_column(["a", "b"], "id") is None
    with pytest.raises(InputError, match=r"saw the columns a, b, .* name it with --label COLUMN"):
        find_column(["a", "b"], "label")


def test_two_columns_of_one_name_are_not_chosen_between():
    with pytest.raises(InputError, match="saw the columns 'Sequence' and 'sequence'"):
        guess_column(["Sequence", "sequence"], "sequence")


def test_a_vague_name_counts_only_where_sequences_stand_in_it():
    names = pl.DataFrame({"protein": ["TP53 human", "BRCA1"], "chain": LONG})
    assert guess_column(names.columns, "sequence", sample=names) == ColumnChoice("chain", True)
    letters = pl.DataFrame({"protein": LONG, "chain": ["A", "B"]})
    assert guess_column(letters.columns, "sequence", sample=letters) == ColumnChoice(
        "protein", True
    )


@pytest.mark.parametrize(
    "values",
    [
        ["MKTAYIAKQR", "GAVLI"],  # too short to be told from words
        ["Mitochondrion and", "Extracellular sp"],
        ["Endoplasmicreticulum", "Mitochondrialmatrix"],  # of two cases
        [*LONG * 9, "12 letters in all"],  # 95 % is not more than 95 %
        [None, ""],
    ],
)
def test_words_are_not_taken_for_sequences(values):
    sample = pl.DataFrame({"x": values}, schema={"x": pl.String})
    assert guess_column(["x"], "sequence", sample=sample) is None
