"""Deals rows, or whole groups of rows, to parts of wanted sizes, with the same labels in each."""

# Letters: N rows, G groups, Q strata, P parts (or folds).
import numpy as np
from numpy.typing import NDArray

from lexome.seeds import numpy_generator

NUM_BINS = 10  # quantile bins in which real-valued labels are balanced
MOST_STRATA = 50  # rarer classes are balanced together

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def deal_groups(group_N: Ints, labels: NDArray[np.generic], wanted_P: Floats, seed: int) -> Ints:
    """The part of each row, where rows of one group have the same; shares `wanted_P` add up to 1.

    Greedy: from the largest group to the smallest (equal sizes in the seed's order), each goes
    to the part that it brings nearest to its targets, which are the rows of each class (of each
    label where there are several, of each tenth of real values) and, weighing as much as all of
    these, the rows altogether.

    >>> deal_groups(np.array([0, 0, 1]), np.array([0, 1, 1]), np.array([0.7, 0.3]), 0).tolist()
    [0, 0, 1]
    """
    counts_GQ = _counts(group_N, _strata_matrix(labels))
    sizes_G = np.bincount(group_N)
    targets_PQ = wanted_P[:, None] * counts_GQ.sum(axis=0)
    weights_PQ = np.divide(1.0, targets_PQ, out=np.zeros_like(targets_PQ), where=targets_PQ > 0)
    weights_PQ[:, 0] *= counts_GQ.shape[1] - 1
    weights_PQ[wanted_P == 0] = 0
    shuffled = numpy_generator("split", "cluster", seed).permutation(len(sizes_G))
    order = shuffled[np.argsort(-sizes_G[shuffled], kind="stable")]
    missing_PQ, part_G = targets_PQ.copy(), np.zeros(len(sizes_G), np.int64)
    blocked = np.where(wanted_P > 0, 0.0, np.inf)
    for group in order.tolist():
        counts_Q = counts_GQ[group]
        change_P = (weights_PQ * counts_Q * (counts_Q - 2 * missing_PQ)).sum(axis=1) + blocked
        part = int(change_P.argmin())
        missing_PQ[part] -= counts_Q
        part_G[group] = part
    return part_G[group_N]


def deal_rows(labels: NDArray[np.generic], wanted_P: Floats, seed: int) -> Ints:
    """The part of each row at random, each class (or tenth of real values) in the wanted shares."""
    num = len(labels)
    stratum_N = (
        np.unique(labels, axis=0, return_inverse=True)[1] if labels.ndim > 1 else _strata(labels)
    )
    shuffled = numpy_generator("split", "random", seed).permutation(num)
    order = shuffled[np.argsort(stratum_N.ravel()[shuffled], kind="stable")]
    # Part p takes its j-th row at the time (j + 1/2) / fraction: along the strata, the parts
    # take turns in proportion, so that each stratum is divided as the whole is.
    ends = np.round(np.cumsum(wanted_P) * num).astype(np.int64)
    sizes = np.diff(ends, prepend=0)
    times = np.concatenate([(np.arange(n) + 0.5) / max(n, 1) for n in sizes])
    turns = np.repeat(np.arange(len(wanted_P)), sizes)[np.argsort(times, kind="stable")]
    part_N = np.empty(num, np.int64)
    part_N[order] = turns
    return part_N


def is_real(labels: NDArray[np.generic]) -> bool:
    """Whether labels are balanced by tenths of their values, and not by class."""
    return labels.dtype.kind == "f" and len(np.unique(labels)) > 2 * NUM_BINS


def _strata(values_N: NDArray[np.generic]) -> Ints:
    """The stratum of each row: its class, or the tenth of its real value."""
    if is_real(values_N):
        inner = np.quantile(values_N.astype(np.float64), np.arange(1, NUM_BINS) / NUM_BINS)
        return np.searchsorted(inner, values_N, side="right").astype(np.int64)
    _, stratum_N, counts = np.unique(values_N, return_inverse=True, return_counts=True)
    rank = np.argsort(np.argsort(-counts, kind="stable"), kind="stable")
    return np.minimum(rank, MOST_STRATA)[stratum_N].astype(np.int64)


def _strata_matrix(values: NDArray[np.generic]) -> Floats:
    """(N, Q): a column of ones for the rows themselves, then one a stratum."""
    if values.ndim > 1:
        columns = values.astype(np.float64)
    else:
        stratum_N = _strata(values)
        columns = np.eye(int(stratum_N.max()) + 1)[stratum_N]
    return np.concatenate([np.ones((len(values), 1)), columns], axis=1)


def _counts(group_N: Ints, strata_NQ: Floats) -> Floats:
    return np.stack([np.bincount(group_N, weights=column) for column in strata_NQ.T], axis=1)
