"""How well a ranking of all others by nearness brings back the kin of each query.

For every query the other rows are positives, negatives, or left out (closer kin than asked for,
and the query itself). Hit-10: whether a positive is among the ten nearest of those not left out.
AUC: the chance that a positive is nearer than a negative, ties counted half. Both are means over
the queries that have a positive. Ties among the nearest count half too: a positive's place is 1 +
the negatives nearer than it + half of those as near, so a measure that tells nothing apart has no
hits.
"""

# Letters: Q queries, N rows, G groups of queries.
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lexome.evaluation.uncertainty import draw_weights, interval
from lexome.results.types import Estimate

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
HITS = 10


class Retrieved(NamedTuple):
    """The figures of each query; NaN where it has no positive or no negative."""

    hit_Q: Floats  # 1 where a positive is among the nearest
    auc_Q: Floats


def judge_query(
    near_N: NDArray[np.float32], positive_N: Bools, negative_N: Bools, hits: int = HITS
) -> tuple[float, float]:
    """Hit and AUC of one query, of rows as near as `near_N` says (higher is nearer).

    Two positives at 3 and 1, negatives at 2 and 0: the pairs won are 2 + 1 of 4.

    >>> near = np.array([3, 1, 2, 0], np.float32)
    >>> positive = np.array([True, True, False, False])
    >>> judge_query(near, positive, ~positive)
    (1.0, 0.75)
    """
    others = np.sort(near_N[negative_N])
    own = near_N[positive_N]
    if not len(own) or not len(others):
        return float("nan"), float("nan")
    below = np.searchsorted(others, own, side="left")
    upto = np.searchsorted(others, own, side="right")
    wins = (below + upto) / 2
    place = 1 + len(others) - wins.max()
    return float(place <= hits), float(wins.mean() / len(others))


def mean_intervals(
    retrieved: Retrieved, groups: NDArray[np.generic], seed: int = 0
) -> dict[str, Estimate]:
    """Means over the queries with 95 % intervals, whole groups of queries drawn together."""
    found = {}
    for name, value_Q in (("hit_10", retrieved.hit_Q), ("auc", retrieved.auc_Q)):
        there = ~np.isnan(value_Q)
        value = value_Q[there]
        if not len(value):
            found[name] = Estimate(float("nan"), float("nan"), float("nan"))
            continue
        draws = [
            weights_RN @ value / weights_RN.sum(axis=1)
            for weights_RN in draw_weights(len(value), groups[there], seed, 1000)
        ]
        found[name] = interval(float(value.mean()), np.concatenate(draws))
    return found


def difference_interval(
    a_Q: Floats, b_Q: Floats, groups: NDArray[np.generic], seed: int = 0
) -> Estimate:
    """The mean of a - b over the same queries, with its interval over the same draws of groups."""
    there = ~np.isnan(a_Q) & ~np.isnan(b_Q)
    off = (a_Q - b_Q)[there]
    if not len(off):  # no query has kin at this level
        return Estimate(float("nan"), float("nan"), float("nan"))
    draws = [w @ off / w.sum(axis=1) for w in draw_weights(len(off), groups[there], seed, 1000)]
    return interval(float(off.mean()), np.concatenate(draws))
