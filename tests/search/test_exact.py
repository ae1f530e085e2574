"""Exact search: answers on paper, the plain twin, ties, blocks, and what is refused."""

import numpy as np
import pytest

from lexome.errors import InputError
from lexome.search import exact
from lexome.search.exact import search_exactly, search_plainly
from lexome.search.vectors import VectorArray

PLANE = np.array([[3, 4], [4, 3], [-1, 0], [6, 8], [0, 2]], np.float32)


class Blocks(VectorArray):
    """Vectors that come in blocks of a few rows."""

    size = 7

    def blocks(self, rows=0):
        return super().blocks(self.size)


def vectors(rows, size=7):
    made = Blocks([f"r{i}" for i in range(len(rows))], rows)
    made.size = size
    return made


def test_cosines_of_a_3_4_5_triangle_and_equal_ones_in_input_order():
    """(1, 0) with (3, 4), (4, 3), (-1, 0), (6, 8), (0, 2): 0.6, 0.8, -1, 0.6, 0."""
    query = np.array([[1, 0]], np.float32)
    found = search_exactly(query, vectors(PLANE, 2), top=9)
    assert found.rows_QK.tolist() == [[1, 0, 3, 4, 2]]
    assert found.scores_QK[0].tolist() == pytest.approx([0.8, 0.6, 0.6, 0, -1])


def test_distances_of_a_3_4_5_triangle():
    found = search_exactly(np.zeros((1, 2), np.float32), vectors(PLANE, 3), 4, "euclidean")
    assert found.rows_QK.tolist() == [[2, 4, 0, 1]]
    assert found.scores_QK.tolist() == [[1, 2, 5, 5]]
    assert found.scores_QK.dtype == np.float32


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("offset", [0, 30])
@pytest.mark.parametrize("size", [5, 64, 4000])
def test_blocks_agree_with_the_plain_twin_to_the_last_bit(metric, offset, size, monkeypatch):
    """Also far from the origin, where float32 alone would lose the order, and with copies."""
    monkeypatch.setattr(exact, "QUERIES_AT_ONCE", 9)
    random = np.random.default_rng(0)
    rows = random.standard_normal((700, 48)).astype(np.float32) + np.float32(offset)
    rows[300:340] = rows[5]
    queries = np.concatenate([rows[:12], rows[100:108] + np.float32(0.01)])
    found = search_exactly(queries, vectors(rows, size), 6, metric)
    plain = search_plainly(queries, rows, 6, metric)
    assert np.array_equal(found.rows_QK, plain.rows_QK)
    assert np.array_equal(found.scores_QK, plain.scores_QK)


def test_rows_that_come_ever_nearer_and_numbers_beyond_float32_are_not_lost():
    rows = np.linspace(100, 1, 300, dtype=np.float32)[:, None]
    found = search_exactly(np.zeros((1, 1), np.float32), vectors(rows, 40), 3, "euclidean")
    assert found.rows_QK.tolist() == [[299, 298, 297]]
    huge = np.array([[3e30, 0], [2e30, 0], [0, 1]], np.float32)
    found = search_exactly(huge[:1], vectors(huge, 2), 2, "euclidean")
    assert found.rows_QK.tolist() == [[0, 1]]


@pytest.mark.parametrize(
    ("query", "rows", "top", "metric", "words"),
    [
        (np.ones((1, 3)), PLANE, 1, "cosine", "width of the query, 3"),
        (np.ones((1, 2)), PLANE, 0, "cosine", "at least 1"),
        (np.ones((1, 2)), PLANE, 1, "dot", "cosine or euclidean"),
        (np.zeros((1, 2)), PLANE, 1, "cosine", "query, row 1: saw a vector of zeros"),
        (np.ones((1, 2)), np.zeros((9, 2)), 1, "cosine", "row 1: saw a vector of zeros"),
        (np.ones((1, 2)), np.full((9, 2), np.nan), 1, "cosine", "not finite"),
        (np.ones((1, 2)), np.zeros((0, 2)), 1, "cosine", "no rows"),
    ],
)
def test_what_cannot_be_searched_is_refused(query, rows, top, metric, words):
    with pytest.raises(InputError, match=words):
        search_exactly(query.astype(np.float32), vectors(rows.astype(np.float32)), top, metric)
