"""Rows of a family: which are kept, and that the fast weights are the slow ones."""

import numpy as np
import pytest

from lexome.errors import InputError
from lexome.sequence.family_rows import encode_rows, row_weights, row_weights_plain
from lexome.sequence.focus import focus_on_query


def test_rows_and_columns_with_many_gaps_are_left_out_and_counted():
    aligned = focus_on_query("x", list("qabc"), ["ACDE", "ACXE", "A---", "-CaD-"])
    rows = encode_rows(aligned)
    assert rows.kept == (0, 1, 3)
    assert rows.codes_RC.tolist() == [[0, 1, 2, 3], [0, 1, 20, 3], [20, 1, 2, 20]]
    assert (rows.rows_dropped, rows.columns_dropped, rows.other_letters) == (1, 0, 1)
    strict = encode_rows(aligned, column_gaps=0.3)
    assert (strict.columns, strict.columns_dropped) == ((1,), 3)


def test_a_query_alone_is_no_family():
    aligned = focus_on_query("x", ["q", "a"], ["ACDE", "A---"])
    with pytest.raises(InputError, match=r"saw 2 rows, none of which but the query"):
        encode_rows(aligned)
    with pytest.raises(InputError, match="no column"):
        encode_rows(
            focus_on_query("x", ["q", "a"], ["AC", "A-"])._replace(rows=["-C", "A-"]), 1.0, 0.1
        )


def test_weights_by_hand():
    """Rows 1 and 2 agree in 4 of 5 columns: neighbours at least 0.8, not more than 0.8."""
    codes = np.array([[0, 1, 2, 3, 4], [0, 1, 2, 3, 5], [9, 9, 9, 9, 20]], np.int8)
    assert row_weights(codes, 0.2, "own-residues").tolist() == [1, 1, 1]
    assert row_weights(codes, 0.2, "all-columns").tolist() == [0.5, 0.5, 1]
    assert row_weights(codes, 0.21, "own-residues").tolist() == [0.5, 0.5, 1]
    gapped = np.array([[0, 1, 20, 20], [0, 1, 2, 3]], np.int8)
    # The first row's two residues are all in the second; of the second's four, half in the first.
    assert row_weights(gapped).tolist() == [0.5, 1]


@pytest.mark.parametrize("identity", ["own-residues", "all-columns"])
@pytest.mark.parametrize("block", [3, 7, 1024])
def test_blocks_agree_with_pair_by_pair(identity, block):
    generator = np.random.default_rng(0)
    parents = generator.integers(0, 21, (4, 17))
    codes = parents[generator.integers(0, 4, 30)]
    codes = np.where(
        generator.random(codes.shape) < 0.12, generator.integers(0, 21, codes.shape), codes
    )
    codes[5] = 20  # a row without residues
    codes = codes.astype(np.int8)
    for theta in (0.0, 0.2, 0.5):
        fast = row_weights(codes, theta, identity, block)
        assert fast.tolist() == row_weights_plain(codes, theta, identity).tolist()


def test_a_distance_or_identity_that_there_is_not_is_refused():
    with pytest.raises(InputError, match="theta"):
        row_weights(np.zeros((2, 2), np.int8), 1.0)
    with pytest.raises(InputError, match="identity"):
        row_weights(np.zeros((2, 2), np.int8), 0.2, "half")
