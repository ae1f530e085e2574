"""Columns of a query: their numbers in the protein, and what is said where they do not fit."""

import pytest

from lexome.errors import InputError
from lexome.sequence.focus import Focus, fit_query, focus_on_query, place_query

PROTEIN = "GGMKTAYIAKQRGG"


def test_columns_of_the_query_are_numbered_with_its_insertions_and_gaps():
    made = focus_on_query("x", ["q/10-13"], ["Ac-DE"])
    assert made.focus == Focus("q/10-13", "ACDE", 10, (0, 2, 3))
    assert made.focus.letters == "ADE"


def test_a_column_without_a_residue_of_the_query_becomes_an_insertion():
    made = focus_on_query("x", ["q", "s", "t"], ["A-D", "ACD", "a-C-"])
    assert made.rows == ["AD", "AcD", "a-c-"]


def test_lower_case_and_a_range_of_another_length_are_refused():
    with pytest.raises(InputError, match="a query in lower case"):
        focus_on_query("x", ["q"], ["acd"])
    with pytest.raises(InputError, match="without residues"):
        focus_on_query("x", ["q"], ["---"])
    with pytest.raises(InputError, match=r"saw 3 residues, expected 5, as its range 10-14"):
        focus_on_query("x", ["q/10-14"], ["ACD"])


def test_a_query_is_placed_by_its_range_or_where_it_stands_just_once():
    assert place_query(Focus("q/3-6", "MKTA", 3, (0,)), PROTEIN) == 2
    assert place_query(Focus("q", "MKTA", None, (0,)), PROTEIN) == 2
    with pytest.raises(InputError, match="more than once"):
        place_query(Focus("q", "GG", None, (0,)), PROTEIN)


def test_a_query_that_is_elsewhere_is_told_where_it_fits():
    with pytest.raises(
        InputError,
        match=r"saw a query of 4 residues that is not in the protein at 1, expected it at 3-6.*the name q/3-6",
    ):
        place_query(Focus("q/1-4", "MKTA", 1, (0,)), PROTEIN)
    with pytest.raises(
        InputError, match=r"at 3-6 3 of them agree, but residue 5 is T and the query has V"
    ):
        place_query(Focus("q", "MKVA", None, (0,)), PROTEIN)
    with pytest.raises(InputError, match="the protein that it was made for"):
        place_query(Focus("q", "WWWW", None, (0,)), PROTEIN)
    with pytest.raises(InputError, match="at 13: at 1-4 2 of them agree, but residue 3 is M"):
        place_query(Focus("q/13-16", "GGWW", 13, (0,)), PROTEIN)


def test_the_best_place_may_hang_over_an_end():
    assert fit_query("XXMK", "MKTA") == (-2, 2)
    assert fit_query("TAYY", "MKTA") == (2, 2)
