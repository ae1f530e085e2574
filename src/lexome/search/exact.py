"""The nearest rows of any number of vectors, exactly, in one pass by blocks.

A block is compared with all queries by one product of matrices in float32. What that product may
have got wrong by rounding is bounded. All rows that could be among the nearest within that bound
are compared again in float64 from the vectors as they are, and these numbers, rounded to float32,
decide. So an answer does not depend on blocks, on other queries, or on how a machine multiplies;
rows of equal score stand in input order.
"""

# Letters: Q queries, N rows of a block, K nearest rows, P pairs of a query and a row, D width.
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lexome.errors import InputError
from lexome.progress import Progress
from lexome.results import columns
from lexome.search.vectors import Vectors

FloatArray = NDArray[np.float32]
Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]
METRICS = {"cosine": columns.COSINE, "euclidean": columns.DISTANCE}  # the column of each
QUERIES_AT_ONCE = 1024  # 64 MB of products with a block
PAIRS_AT_ONCE = 16_384
UNIT = 2.0**-24  # the relative error of one rounding in float32


class Nearest(NamedTuple):
    """For each query its nearest rows, nearest first, and how near they are."""

    rows_QK: Ints
    scores_QK: FloatArray  # cosines (higher is nearer), or Euclidean distances (lower is)


def search_exactly(
    queries_QD: FloatArray,
    vectors: Vectors,
    top: int = 10,
    metric: str = "cosine",
    progress: Progress | None = None,
) -> Nearest:
    """The `top` nearest rows of each query; all of them where there are fewer.

    Raises:
        InputError: another metric, a width that differs, no rows, or a vector of zeros, which has
            no cosine.
    """
    check_search(queries_QD, vectors, top, metric)
    top = min(top, vectors.count)
    groups = [
        _Group(_prepared(part_QD, metric), top)
        for part_QD in np.split(
            queries_QD, range(QUERIES_AT_ONCE, len(queries_QD), QUERIES_AT_ONCE)
        )
    ]
    for start, block_ND in vectors.blocks():
        if metric == "cosine":
            refuse_zeros(block_ND, start, vectors.where)
        block = _prepared(block_ND, metric)
        for group in groups:
            group.add(start, block, metric)
        if progress is not None:
            progress.advance(len(block_ND))
    closeness_QK = np.concatenate([group.closeness_QK for group in groups])
    rows_QK = np.concatenate([group.rows_QK for group in groups])
    return Nearest(rows_QK, closeness_QK if metric == "cosine" else -closeness_QK)


def search_plainly(
    queries_QD: FloatArray, rows_ND: FloatArray, top: int = 10, metric: str = "cosine"
) -> Nearest:
    """The slow twin of `search_exactly`: every pair in float64, all sorted."""
    found_rows, found_scores = [], []
    for query_D in queries_QD:
        closeness_N = closeness_of(np.broadcast_to(query_D, rows_ND.shape), rows_ND, metric)
        order = np.argsort(-closeness_N, kind="stable")[:top]
        found_rows.append(order)
        found_scores.append(closeness_N[order] if metric == "cosine" else -closeness_N[order])
    return Nearest(np.array(found_rows, np.int64), np.array(found_scores, np.float32))


def closeness_of(a_PD: FloatArray, b_PD: FloatArray, metric: str) -> FloatArray:
    """Cosine, or minus the Euclidean distance, of pairs of rows: in float64, then rounded."""
    a, b = a_PD.astype(np.float64), b_PD.astype(np.float64)
    if metric == "euclidean":
        near: Doubles = -np.sqrt(np.einsum("pd,pd->p", a - b, a - b))
    else:
        squares = np.einsum("pd,pd->p", a, a) * np.einsum("pd,pd->p", b, b)
        near = np.clip(np.einsum("pd,pd->p", a, b) / np.sqrt(squares), -1, 1)
    return near.astype(np.float32)


def check_search(queries_QD: FloatArray, vectors: Vectors, top: int, metric: str) -> None:
    """Refuse what cannot be searched, before anything is read."""
    if metric not in METRICS:
        raise InputError("metric", repr(metric), " or ".join(METRICS), "--metric cosine")
    if top < 1:
        raise InputError("top", str(top), "at least 1", "--top 10")
    if vectors.count == 0:
        raise InputError(
            vectors.where, "no rows", "at least one", "`lexome embed` of a fuller file"
        )
    if queries_QD.ndim != 2 or queries_QD.shape[1] != vectors.width:
        raise InputError(
            vectors.where,
            f"vectors of width {vectors.width}",
            f"the width of the query, {queries_QD.shape[-1]}",
            "embedding both with the same model",
        )
    if metric == "cosine":
        refuse_zeros(queries_QD, 0, "query")


def refuse_zeros(block_ND: FloatArray, start: int, where: str) -> None:
    """A vector of zeros has no direction.

    Raises:
        InputError: there is one.
    """
    zero_N = ~block_ND.any(axis=1)
    if zero_N.any():
        raise InputError(
            f"{where}, row {start + int(np.argmax(zero_N)) + 1}",
            "a vector of zeros, which has no cosine",
            "vectors with a direction",
            "--metric euclidean, or leaving the row out",
        )


class _Prepared(NamedTuple):
    """Vectors, and the form in which their products are compared."""

    vectors_ND: FloatArray  # as they are
    factors_ND: FloatArray  # of length 1 for cosines
    squares_N: Doubles  # their squared lengths


def _prepared(vectors_ND: FloatArray, metric: str) -> _Prepared:
    squares_N = np.einsum("nd,nd->n", vectors_ND, vectors_ND, dtype=np.float64)
    factors_ND = vectors_ND
    if metric == "cosine":
        factors_ND = (vectors_ND / np.sqrt(squares_N)[:, None]).astype(np.float32)
        squares_N = np.ones_like(squares_N)
    return _Prepared(vectors_ND, factors_ND, squares_N)


class _Group:
    """Some queries, and the nearest rows that were met so far."""

    def __init__(self, queries: _Prepared, top: int) -> None:
        self.queries, self.top = queries, top
        size = len(queries.vectors_ND)
        self.closeness_QK = np.full((size, 0), -np.inf, np.float32)
        self.rows_QK = np.full((size, 0), -1, np.int64)

    def add(self, start: int, block: _Prepared, metric: str) -> None:
        """Take in a block whose first row has the number `start`."""
        query_P, row_P = np.nonzero(self._may_be_near(block, metric))
        near_P = np.empty(len(query_P), np.float32)
        for at in range(0, len(query_P), PAIRS_AT_ONCE):
            part = slice(at, at + PAIRS_AT_ONCE)
            a_PD = self.queries.vectors_ND[query_P[part]]
            near_P[part] = closeness_of(a_PD, block.vectors_ND[row_P[part]], metric)
        size, held = self.closeness_QK.shape
        query_P = np.concatenate([np.repeat(np.arange(size), held), query_P])
        row_P = np.concatenate([self.rows_QK.ravel(), row_P + start])
        near_P = np.concatenate([self.closeness_QK.ravel(), near_P])
        order = np.lexsort((row_P, -near_P, query_P))
        # Each query has as many pairs as it has: the first `keep` of each run are its nearest.
        begin_Q = np.searchsorted(query_P[order], np.arange(size))
        keep = min(self.top, start + len(block.vectors_ND))
        chosen = order[begin_Q[:, None] + np.arange(keep)]
        self.closeness_QK, self.rows_QK = near_P[chosen], row_P[chosen]

    def _may_be_near(self, block: _Prepared, metric: str) -> NDArray[np.bool_]:
        """(Q, N): whether a row may be among the nearest, whatever rounding did to the product."""
        width = block.vectors_ND.shape[1]
        # |error of a product of D terms| <= D u |a||b| (Higham 2002, 3.5), and the factors' own
        slack = 4 * (width + 8) * UNIT
        slack_Q, slack_N = np.zeros(len(self.rows_QK)), np.full(len(block.squares_N), slack)
        with np.errstate(over="ignore", invalid="ignore"):  # beyond float32: compared in float64
            near_QN = self.queries.factors_ND @ block.factors_ND.T
            if metric == "euclidean":  # 2ab - a^2 - b^2 = minus the squared distance
                near_QN *= 2
                near_QN -= self.queries.squares_N[:, None].astype(np.float32)
                near_QN -= block.squares_N.astype(np.float32)
                slack_Q, slack_N = slack * self.queries.squares_N, slack * block.squares_N
            margin_N = slack_N.astype(np.float32)
            high_QN = near_QN + margin_N
            lowest_Q = self._lowest(metric) - slack_Q
            far_QN = high_QN < lowest_Q[:, None].astype(np.float32)
            passed = far_QN.size - np.count_nonzero(far_QN)
            if passed > 8 * self.top * len(near_QN) and self.top < near_QN.shape[1]:
                # Many rows pass: those fall that the nearest of this block beat for certain.
                near_QN -= margin_N
                at = near_QN.shape[1] - self.top
                near_QN.partition(at, axis=1)
                least_Q = _loosened(near_QN[:, at].astype(np.float64)) - 2 * slack_Q
                far_QN |= high_QN < least_Q[:, None].astype(np.float32)
        return ~far_QN  # so that a NaN passes

    def _lowest(self, metric: str) -> Doubles:
        """What a row must reach, as the product tells it."""
        if self.closeness_QK.shape[1] < self.top:
            return np.full(len(self.rows_QK), -np.inf)
        lowest_Q = self.closeness_QK[:, -1].astype(np.float64)
        return _loosened(-np.square(lowest_Q) if metric == "euclidean" else lowest_Q)


def _loosened(values_Q: Doubles) -> Doubles:
    """A little lower: these numbers were rounded to float32, or will be."""
    loosened: Doubles = values_Q - 1e-6 * np.abs(values_Q)
    return loosened
