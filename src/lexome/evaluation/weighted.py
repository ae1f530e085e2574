"""The metrics of many weightings of the same rows at once: what the bootstrap multiplies out.

A resample that draws row i three times is the same rows with weight 3 on row i. Each `*_of`
function sorts and bins the rows once and hands back a function from a block of weights (R, N)
to the R values of each metric; tests hold them to the plain functions in `metrics`.
"""

# Letters: R resamples, N rows, K labels or classes, B bins, C cells of the confusion matrix.
from collections.abc import Callable, Sequence

import numpy as np
import scipy.sparse
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
    check_values,
    decide,
)
from lexome.evaluation.metrics import BINARY, METRICS, TASKS, Task

Values = dict[str, Floats]  # metric -> (R,)
Table = tuple[Values, list[Values]]  # overall, per label
Apply = Callable[[Floats], Table]


def weighted_metrics(
    task: Task, truth: ArrayLike, prediction: ArrayLike, threshold: ArrayLike = 0.5
) -> Apply:
    """The function from weights (R, N) to every metric of the task, (R,) each."""
    where = f"intervals of the {task} metrics"
    if task == "binary":
        truth_N = check_truth(truth, where, 1)
        probability_N = check_probabilities(prediction, truth_N.shape, where)
        one = _label_of(truth_N, probability_N, decide(probability_N, threshold))
        return lambda weights_RN: (one(weights_RN), [])
    if task == "multiclass":
        probability_NK = np.asarray(prediction, np.float64)
        truth_N = check_classes(truth, probability_NK.shape[1], where)
        shape = (len(truth_N), probability_NK.shape[1])
        return _multiclass_of(truth_N, check_probabilities(probability_NK, shape, where))
    if task == "multilabel":
        truth_NK = check_truth(truth, where, 2)
        probability_NK = check_probabilities(prediction, truth_NK.shape, where)
        return _multilabel_of(truth_NK, probability_NK, decide(probability_NK, threshold))
    if task == "regression":
        numbers = np.asarray(truth, np.float64)
        number_N = check_values(numbers, numbers.shape, where)
        return _regression_of(number_N, check_values(prediction, number_N.shape, where))
    raise InputError(where, f"the task {task!r}", f"one of {', '.join(TASKS)}", "binary")


def _label_of(truth_N: Ints, probability_N: Floats, called_N: Bools) -> Callable[[Floats], Values]:
    rank = weighted_ranking(truth_N, probability_N)
    calibration = _calibration_of(truth_N, probability_N)
    yes, called = truth_N.astype(np.float64), called_N.astype(np.float64)
    columns_N4 = np.stack([yes * called, yes, called, np.square(probability_N - yes)], axis=1)

    def apply(weights_RN: Floats) -> Values:
        total, sums = weights_RN.sum(axis=1), (weights_RN @ columns_N4).T
        return label_figures(total, sums, rank(weights_RN), calibration(weights_RN))

    return apply


def label_figures(
    total: Floats, sums_4R: Floats, ranking: tuple[Floats, Floats], ece: Floats
) -> Values:
    """The metrics of one label from sums over rows: all, and right calls, positives, calls, errors.

    `ranking` are AUROC and average precision.
    """
    hit, positive, said, squared = sums_4R
    auroc, auprc = ranking
    negative, unsaid = total - positive, total - said
    rejected = negative - (said - hit)
    recall, specificity = _ratio(hit, positive), _ratio(rejected, negative)
    both = np.where((positive > 0) & (negative > 0), 1.0, np.nan)
    spread = np.sqrt(said * unsaid) * np.sqrt(positive * negative)
    product = hit * rejected - (said - hit) * (positive - hit)
    return {
        "auroc": auroc,
        "auprc": auprc,
        "prevalence": positive / total,
        "mcc": both * np.where(spread > 0, _ratio(product, spread).clip(-1, 1), 0.0),
        "f1": _ratio(2 * hit, said + positive),
        "precision": _ratio(hit, said),
        "recall": recall,
        "accuracy": (hit + rejected) / total,
        "balanced_accuracy": (recall + specificity) / 2,
        "brier": squared / total,
        "ece": ece,
    }


def weighted_ranking(truth_N: Ints, score_N: Floats) -> Callable[[Floats], tuple[Floats, Floats]]:
    """AUROC and average precision; rows of equal score count as one step of the curve."""
    order = np.argsort(score_N, kind="stable")
    sorted_N, yes_N = score_N[order], truth_N[order].astype(bool)
    place = np.flatnonzero(yes_N)  # the P positives, by ascending score
    below = np.searchsorted(sorted_N, sorted_N[place], side="left")  # rows of lower score
    upto = np.searchsorted(sorted_N, sorted_N[place], side="right")
    positives_below = np.searchsorted(place, below)

    def apply(weights_RN: Floats) -> tuple[Floats, Floats]:
        weight_RN = weights_RN[:, order]
        weight_RP = weight_RN[:, place]
        negative_RN = _running(np.where(yes_N, 0.0, weight_RN))
        positive_RP = _running(weight_RP)
        negatives, positives = negative_RN[:, -1], positive_RP[:, -1]
        lower_RP = negative_RN[:, below]
        wins = np.einsum("rp,rp->r", weight_RP, lower_RP + negative_RN[:, upto]) / 2
        true_RP = positives[:, None] - positive_RP[:, positives_below]
        false_RP = negatives[:, None] - lower_RP
        precision_RP = true_RP / np.maximum(true_RP + false_RP, 1e-300)  # 0/0 only at weight 0
        area = np.einsum("rp,rp->r", weight_RP, precision_RP)
        both = np.where((positives > 0) & (negatives > 0), 1.0, np.nan)
        return both * _ratio(wins, positives * negatives), both * _ratio(area, positives)

    return apply


def _calibration_of(truth_N: Ints, probability_N: Floats) -> Callable[[Floats], Floats]:
    bin_N = width_bins(probability_N, NUM_BINS)
    rows = np.arange(len(truth_N))
    # |mean p - observed| x share of a bin = |sum of weight x (p - truth)| / total weight
    gap_NB = scipy.sparse.csr_matrix(
        (probability_N - truth_N, (rows, bin_N)), shape=(len(rows), NUM_BINS)
    )
    return lambda weights_RN: np.abs(weights_RN @ gap_NB).sum(axis=1) / weights_RN.sum(axis=1)


def _multiclass_of(truth_N: Ints, probability_NK: Floats) -> Apply:
    num = probability_NK.shape[1]
    called_N = probability_NK.argmax(axis=1)
    one_hot_NK = np.eye(num, dtype=np.int64)[truth_N]
    labels = [_label_of(one_hot_NK[:, k], probability_NK[:, k], called_N == k) for k in range(num)]
    right_N = (called_N == truth_N).astype(np.int64)
    calibration = _calibration_of(right_N, probability_NK.max(axis=1))
    squared_N = np.square(probability_NK - one_hot_NK).sum(axis=1)
    called_NK = np.eye(num)[called_N]
    cells_N2 = np.stack([right_N.astype(np.float64), squared_N], axis=1)

    def apply(weights_RN: Floats) -> Table:
        total = weights_RN.sum(axis=1)
        per_label = [label(weights_RN) for label in labels]
        right, squared = (weights_RN @ cells_N2).T
        true_RK, said_RK = weights_RN @ one_hot_NK, weights_RN @ called_NK
        return class_figures(
            total, right, squared, true_RK, said_RK, calibration(weights_RN), per_label
        )

    return apply


def class_figures(
    total: Floats,
    right: Floats,
    squared: Floats,
    true_RK: Floats,
    said_RK: Floats,
    ece: Floats,
    per_label: list[Values],
) -> Table:
    """The metrics of one class out of K from sums over rows, and from those of each class."""
    macro = _macro(per_label)
    # R_K, the K-class MCC of Gorodkin 2004, from the margins of the confusion matrix
    product = right * total - (true_RK * said_RK).sum(axis=1)
    true_spread = total**2 - np.square(true_RK).sum(axis=1)
    said_spread = total**2 - np.square(said_RK).sum(axis=1)
    spread = np.sqrt(true_spread) * np.sqrt(said_spread)
    mcc = np.where(spread > 0, _ratio(product, spread).clip(-1, 1), 0.0)
    values = {
        "accuracy": right / total,
        "balanced_accuracy": macro["recall"],
        "mcc": np.where(true_spread > 0, mcc, np.nan),
        "brier": squared / total,
        "ece": ece,
    } | {f"macro_{name}": value for name, value in macro.items()}
    return {name: values[name] for name in METRICS["multiclass"]}, per_label


def _multilabel_of(truth_NK: Ints, probability_NK: Floats, called_NK: Bools) -> Apply:
    columns = range(truth_NK.shape[1])
    labels = [_label_of(truth_NK[:, k], probability_NK[:, k], called_NK[:, k]) for k in columns]
    both = (truth_NK & called_NK).sum(axis=1)
    either = (truth_NK | called_NK).sum(axis=1)
    rows_N4 = np.stack(
        [
            (truth_NK == called_NK).all(axis=1),
            np.where(either > 0, both / np.maximum(either, 1), 1.0),
            2 * both,
            both + either,
        ],
        axis=1,
    ).astype(np.float64)

    def apply(weights_RN: Floats) -> Table:
        total = weights_RN.sum(axis=1)
        per_label = [label(weights_RN) for label in labels]
        match, jaccard, twice, members = (weights_RN @ rows_N4).T
        values = {
            "exact_match": match / total,
            "jaccard": jaccard / total,
            "micro_f1": _ratio(twice, members),
        } | {f"macro_{name}": value for name, value in _macro(per_label).items()}
        return {name: values[name] for name in METRICS["multilabel"]}, per_label

    return apply


def _macro(per_label: Sequence[Values]) -> Values:
    """As `metrics.macro_means`: labels without both classes in a resample are left out of it."""
    prevalence_RK = np.stack([label["prevalence"] for label in per_label], axis=1)
    judged_RK = (prevalence_RK > 0) & (prevalence_RK < 1)
    count = judged_RK.sum(axis=1).astype(np.float64)
    means = {}
    for name in BINARY:
        value_RK = np.stack([label[name] for label in per_label], axis=1)
        means[name] = _ratio(np.where(judged_RK, value_RK, 0.0).sum(axis=1), count)
    return means


def _regression_of(truth_N: Floats, value_N: Floats) -> Apply:
    spearman = weighted_spearman(truth_N, value_N)
    off_N = value_N - truth_N
    columns_N2 = np.stack([np.square(off_N), np.abs(off_N)], axis=1)

    def apply(weights_RN: Floats) -> Table:
        total = weights_RN.sum(axis=1)
        squared, absolute = (weights_RN @ columns_N2).T
        spread = _covariance(weights_RN, truth_N[None], truth_N[None])
        found = {
            "spearman": spearman(weights_RN),
            "pearson": _pearson(weights_RN, truth_N[None], value_N[None]),
            "r2": 1 - _ratio(squared, spread),
            "rmse": np.sqrt(squared / total),
            "mae": absolute / total,
        }
        return found, []

    return apply


def weighted_spearman(truth_N: Floats, value_N: Floats) -> Callable[[Floats], Floats]:
    """The function from weights (R, N) to Spearman's rank correlation (R,), ranked anew by each."""
    truth_ranks, value_ranks = _ranks_of(truth_N), _ranks_of(value_N)
    return lambda weights_RN: _pearson(weights_RN, truth_ranks(weights_RN), value_ranks(weights_RN))


def _ranks_of(value_N: Floats) -> Callable[[Floats], Floats]:
    """Mid-ranks of the rows by weighting, less a constant: weight below and half of the tie."""
    order = np.argsort(value_N, kind="stable")
    sorted_N = value_N[order]
    below = np.searchsorted(sorted_N, value_N, side="left")
    upto = np.searchsorted(sorted_N, value_N, side="right")

    def apply(weights_RN: Floats) -> Floats:
        running_RN = _running(weights_RN[:, order])
        ranks: Floats = (running_RN[:, below] + running_RN[:, upto]) / 2
        return ranks

    return apply


def _pearson(weights_RN: Floats, x_RN: Floats, y_RN: Floats) -> Floats:
    """Weighted correlation; x and y are (R, N), or (1, N) where every resample has the same."""
    spread = np.sqrt(_covariance(weights_RN, x_RN, x_RN)) * np.sqrt(
        _covariance(weights_RN, y_RN, y_RN)
    )
    return np.clip(_ratio(_covariance(weights_RN, x_RN, y_RN), spread), -1, 1)


def _covariance(weights_RN: Floats, x_RN: Floats, y_RN: Floats) -> Floats:
    """Weighted sum of products around the weighted means; 0 where rounding alone is left."""
    total = weights_RN.sum(axis=1, keepdims=True)
    x_off = x_RN - (weights_RN * x_RN).sum(axis=1, keepdims=True) / total
    y_off = y_RN - (weights_RN * y_RN).sum(axis=1, keepdims=True) / total
    found: Floats = (weights_RN * x_off * y_off).sum(axis=1)
    size = np.abs(x_RN).max() * np.abs(y_RN).max() * total[:, 0]
    return np.where(np.abs(found) <= 1e-24 * size, 0.0, found)


def _running(values_RN: Floats) -> Floats:
    """Running sums with a leading zero: (R, N + 1)."""
    sums = np.zeros((len(values_RN), values_RN.shape[1] + 1))
    np.cumsum(values_RN, axis=1, out=sums[:, 1:])
    return sums


def _ratio(above: Floats, below: Floats) -> Floats:
    """above / below, NaN where below is 0."""
    found: Floats = np.divide(above, below, out=np.full(np.shape(above), np.nan), where=below != 0)
    return found
