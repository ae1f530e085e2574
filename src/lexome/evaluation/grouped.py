"""The metrics of many weightings of groups of rows: intervals in time that rows hardly add to.

A bootstrap that draws whole groups needs only each group's sums, and for ranking metrics how many
of its rows stand at which level of the score. Levels are exact where a score has few values; of
more, they are as many as fit, half of them equally full of positives and half of negatives, and
the draws are moved by what this rounding does to the metric itself.
"""

# Letters: R resamples, N rows, G groups, K classes, B levels of a score, C columns.
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from lexome.errors import InputError
from lexome.evaluation.calibration import NUM_BINS, width_bins
from lexome.evaluation.decisions import (
    Bools,
    Floats,
    Ints,
    check_classes,
    check_probabilities,
    check_truth,
    decide,
)
from lexome.evaluation.metrics import Task
from lexome.evaluation.weighted import (
    Apply,
    Table,
    Values,
    class_figures,
    label_figures,
    weighted_ranking,
)

MOST_LEVELS, MOST_CELLS = 2000, 2_000_000  # cells: groups x levels, of one table
LEAST_LEVELS = 24  # however many groups: of a million, both tables then hold 380 MB


def grouped_metrics(
    task: Task,
    truth: ArrayLike,
    prediction: ArrayLike,
    threshold: ArrayLike,
    group_N: Ints,
) -> Apply:
    """The function from weights of groups (R, G) to every metric of the task, (R,) each.

    Args:
        task: binary or multiclass.
        group_N: the number of each row's group, from 0.
    """
    where = f"intervals of the {task} metrics"
    if task == "binary":
        truth_N = check_truth(truth, where, 1)
        probability_N = check_probabilities(prediction, truth_N.shape, where)
        one = _label_of(truth_N, probability_N, decide(probability_N, threshold), group_N)
        return lambda weights_RG: (one(weights_RG), [])
    if task == "multiclass":
        shape = np.shape(prediction)
        truth_N = check_classes(truth, shape[1], where)
        return _classes_of(truth_N, check_probabilities(prediction, shape, where), group_N)
    raise InputError(where, f"the task {task!r} of residues", "binary or multiclass", "binary")


def _label_of(
    truth_N: Ints, probability_N: Floats, called_N: Bools, group_N: Ints
) -> Callable[[Floats], Values]:
    yes, called = truth_N.astype(np.float64), called_N.astype(np.float64)
    columns = (yes * called, yes, called, np.square(probability_N - yes))
    sums_GC = _sums(np.stack([np.ones(len(yes)), *columns], axis=1), group_N)
    gap_GB = _gaps(truth_N, probability_N, group_N)
    rank = _ranking_of(truth_N, probability_N, group_N)

    def apply(weights_RG: Floats) -> Values:
        sums_CR = (weights_RG @ sums_GC).T
        gap = np.abs(weights_RG @ gap_GB).sum(axis=1) / sums_CR[0]
        return label_figures(sums_CR[0], sums_CR[1:], rank(weights_RG), gap)

    return apply


def _classes_of(truth_N: Ints, probability_NK: Floats, group_N: Ints) -> Apply:
    num = probability_NK.shape[1]
    called_N = probability_NK.argmax(axis=1)
    labels = [
        _label_of((truth_N == k).astype(np.int64), probability_NK[:, k], called_N == k, group_N)
        for k in range(num)
    ]
    right_N = (called_N == truth_N).astype(np.int64)
    gap_GB = _gaps(right_N, probability_NK.max(axis=1), group_N)
    own_N = probability_NK[np.arange(len(truth_N)), truth_N]
    squared_N = np.square(probability_NK).sum(axis=1) - 2 * own_N + 1
    sums_G3 = _sums(np.stack([np.ones(len(truth_N)), right_N, squared_N], axis=1), group_N)
    true_GK, said_GK = _counts(truth_N, num, group_N), _counts(called_N, num, group_N)

    def apply(weights_RG: Floats) -> Table:
        total, right, squared = (weights_RG @ sums_G3).T
        gap = np.abs(weights_RG @ gap_GB).sum(axis=1) / total
        per_label = [label(weights_RG) for label in labels]
        margins = (weights_RG @ true_GK, weights_RG @ said_GK)
        return class_figures(total, right, squared, *margins, gap, per_label)

    return apply


def _ranking_of(
    truth_N: Ints, score_N: Floats, group_N: Ints
) -> Callable[[Floats], tuple[Floats, Floats]]:
    """AUROC and average precision, as `weighted_ranking` has them, of scores by level."""
    num_groups = int(group_N.max()) + 1
    most = max(LEAST_LEVELS, min(MOST_LEVELS, MOST_CELLS // num_groups))
    level_N, is_exact = _levels(truth_N, score_N, most)
    num = int(level_N.max()) + 1
    yes_GB = _counts(level_N, num, group_N, truth_N.astype(np.float64))
    no_GB = _counts(level_N, num, group_N, (1 - truth_N).astype(np.float64))

    def by_level(weights_RG: Floats) -> tuple[Floats, Floats]:
        yes_RB, no_RB = weights_RG @ yes_GB, weights_RG @ no_GB
        positives, negatives = yes_RB.sum(axis=1), no_RB.sum(axis=1)
        wins = (yes_RB * (np.cumsum(no_RB, axis=1) - no_RB / 2)).sum(axis=1)
        true_RB = np.cumsum(yes_RB[:, ::-1], axis=1)
        false_RB = np.cumsum(no_RB[:, ::-1], axis=1)
        precision_RB = true_RB / np.maximum(true_RB + false_RB, 1e-300)
        area = (yes_RB[:, ::-1] * precision_RB).sum(axis=1)
        both = np.where((positives > 0) & (negatives > 0), 1.0, np.nan)
        pairs = np.maximum(positives * negatives, 1e-300)
        return both * wins / pairs, both * area / np.maximum(positives, 1e-300)

    if is_exact:
        return by_level
    once = np.ones((1, num_groups))
    exact = weighted_ranking(truth_N, score_N)(np.ones((1, len(truth_N))))
    moves = [true - rough for true, rough in zip(exact, by_level(once), strict=True)]

    def apply(weights_RG: Floats) -> tuple[Floats, Floats]:
        auroc, auprc = by_level(weights_RG)
        return (auroc + moves[0]).clip(0, 1), (auprc + moves[1]).clip(0, 1)

    return apply


def _levels(truth_N: Ints, score_N: Floats, most: int) -> tuple[Ints, bool]:
    """The level of each score, ascending, and whether each value has one of its own."""
    values, level_N = np.unique(score_N, return_inverse=True)
    if len(values) <= most:
        return level_N.astype(np.int64), True
    shares = np.linspace(0, 1, max(most // 2, 2))[1:-1]
    halves = [score_N[truth_N == kind] for kind in (0, 1)]
    edges = [np.quantile(half, shares) for half in halves if len(half)]
    found = np.searchsorted(np.unique(np.concatenate(edges)), score_N, side="right")
    return found.astype(np.int64), False


def _sums(columns_NC: Floats, group_N: Ints) -> Floats:
    return np.stack([np.bincount(group_N, weights=column) for column in columns_NC.T], axis=1)


def _counts(value_N: Ints, num: int, group_N: Ints, weight_N: Floats | None = None) -> Floats:
    """How many rows of each group have which value, (G, num)."""
    num_groups = int(group_N.max()) + 1
    cells = np.bincount(group_N * num + value_N, weights=weight_N, minlength=num_groups * num)
    return cells.reshape(num_groups, num).astype(np.float64)


def _gaps(truth_N: Ints, probability_N: Floats, group_N: Ints) -> Floats:
    """Of each group and bin the sum of probability less truth: what ECE is made of."""
    bin_N = width_bins(probability_N, NUM_BINS)
    return _counts(bin_N, NUM_BINS, group_N, probability_N - truth_N)
