"""Do probabilities mean what they say: reliability bins, ECE, Brier; and which threshold to use."""

# Letters: N rows, K labels.
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from sklearn.metrics import brier_score_loss

from lexome.errors import InputError
from lexome.evaluation.decisions import Floats, Ints, check_probabilities, check_truth
from lexome.results.types import ReliabilityBin, Threshold

Spacing = Literal["width", "mass"]
Criterion = Literal["mcc", "f1", "balanced_accuracy", "accuracy"]
CRITERIA: tuple[Criterion, ...] = ("mcc", "f1", "balanced_accuracy", "accuracy")
NUM_BINS = 15  # Guo et al. 2017, "On calibration of modern neural networks", section 2
TIE = 1e-12  # two cut points this close in the criterion are equally good


def brier(truth: ArrayLike, probability: ArrayLike) -> float:
    """Mean squared distance of the probability from the truth (0 or 1); 0 is perfect."""
    truth_N = check_truth(truth, "Brier score", 1)
    return float(
        brier_score_loss(truth_N, check_probabilities(probability, truth_N.shape, "Brier score"))
    )


def expected_calibration_error(
    truth: ArrayLike, probability: ArrayLike, num_bins: int = NUM_BINS, spacing: Spacing = "width"
) -> float:
    """The mean over rows of |mean probability - observed share| of the row's bin.

    `spacing="width"` with 15 bins is the definition of Guo et al. 2017; `"mass"` puts equally
    many rows in each bin.

    >>> expected_calibration_error([0, 0, 1, 1], [0.25, 0.25, 0.75, 0.75], num_bins=2)
    0.25
    """
    bins = reliability_bins(truth, probability, num_bins, spacing)
    total = sum(b.num_rows for b in bins)
    return sum(b.num_rows * abs(b.mean_probability - b.observed) for b in bins) / total


def reliability_bins(
    truth: ArrayLike, probability: ArrayLike, num_bins: int = 10, spacing: Spacing = "mass"
) -> list[ReliabilityBin]:
    """The observed share of positives where the model says about p: a reliability plot's points.

    Empty bins are left out. With equal mass, rows of equal probability share a bin, so there
    may be fewer bins than asked for.
    """
    where = "calibration"
    truth_N = check_truth(truth, where, 1)
    probability_N = check_probabilities(probability, truth_N.shape, where)
    if num_bins < 1:
        raise InputError(where, f"{num_bins} bins", "at least one", "10 or 15")
    if spacing == "width":
        bin_N, edges = width_bins(probability_N, num_bins), np.linspace(0, 1, num_bins + 1)
    else:
        bin_N, edges = _mass_bins(probability_N, num_bins)
    found = []
    for number in np.unique(bin_N):
        here = bin_N == number
        found.append(
            ReliabilityBin(
                float(edges[number]),
                float(edges[number + 1]),
                int(here.sum()),
                float(probability_N[here].mean()),
                float(truth_N[here].mean()),
            )
        )
    return found


def width_bins(probability_N: Floats, num_bins: int) -> Ints:
    """The number of each row's bin of equal width; 1.0 belongs to the last."""
    return np.minimum((probability_N * num_bins).astype(np.int64), num_bins - 1)


def _mass_bins(probability_N: Floats, num_bins: int) -> tuple[Ints, Floats]:
    inner = np.unique(np.quantile(probability_N, np.arange(1, num_bins) / num_bins, method="lower"))
    bin_N = np.searchsorted(inner, probability_N, side="left").astype(np.int64)
    edges = np.concatenate([[probability_N.min()], inner, [probability_N.max()]])
    return bin_N, edges


def choose_threshold(truth: ArrayLike, probability: ArrayLike, by: Criterion = "mcc") -> Threshold:
    """The threshold that is best on these rows, exactly: every cut that divides them is tried.

    Thresholds between the same two neighbouring probabilities decide alike, so the best ones
    fill intervals. Of several best intervals the widest is taken, of equally wide ones the
    lowest, and of it the middle (as a float32 number where one lies inside, so that a float32
    comparison decides the same). Where no threshold can be chosen, because the truth has one class
    or no cut divides the rows, the threshold is 0.5 and the score NaN.

    >>> choose_threshold([0, 0, 1, 1], [0.125, 0.25, 0.75, 0.875])
    Threshold(value=0.5, score=1.0)
    """
    where = "threshold choice"
    truth_N = check_truth(truth, where, 1)
    probability_N = check_probabilities(probability, truth_N.shape, where)
    if by not in CRITERIA:
        raise InputError(where, repr(by), f"one of {', '.join(CRITERIA)}", "mcc")
    levels = np.unique(probability_N)
    if truth_N.min() == truth_N.max() or len(levels) < 2:
        return Threshold(0.5, float("nan"))
    # Cut i says yes to levels[i] and above; thresholds in (levels[i-1], levels[i]] all
    # make it. Cuts that say yes to all (i = 0) or to none are left out: they use no model.
    place = np.searchsorted(levels, probability_N)
    positives = np.bincount(place, weights=truth_N, minlength=len(levels))
    rows = np.bincount(place, minlength=len(levels))
    true_yes = np.cumsum(positives[::-1], dtype=np.float64)[::-1][1:]
    all_yes = np.cumsum(rows[::-1], dtype=np.float64)[::-1][1:]
    score = _criterion(by, true_yes, all_yes, float(positives.sum()), float(rows.sum()))
    best = np.flatnonzero(score >= score.max() - TIE)
    runs = np.split(best, np.flatnonzero(np.diff(best) > 1) + 1)  # neighbours join to one interval
    bounds = [(float(levels[run[0]]), float(levels[run[-1] + 1])) for run in runs]
    low, high = max(bounds, key=lambda bound: bound[1] - bound[0])  # max keeps the first of equals
    return Threshold(_middle(low, high), float(score.max()))


def choose_thresholds(
    truth: ArrayLike, probability: ArrayLike, by: Criterion = "mcc"
) -> list[Threshold]:
    """`choose_threshold` for each label: truth and probability are (N, K)."""
    truth_NK = check_truth(truth, "threshold choice", 2)
    probability_NK = check_probabilities(probability, truth_NK.shape, "threshold choice")
    pairs = zip(truth_NK.T, probability_NK.T, strict=True)
    return [choose_threshold(truth_N, probability_N, by) for truth_N, probability_N in pairs]


def _criterion(
    by: Criterion, true_yes: Floats, all_yes: Floats, positives: float, total: float
) -> Floats:
    false_yes = all_yes - true_yes
    negatives = total - positives
    if by == "mcc":
        spread = np.sqrt(all_yes * (total - all_yes)) * np.sqrt(positives * negatives)
        product = true_yes * (negatives - false_yes) - false_yes * (positives - true_yes)
        return np.asarray(product / spread)
    if by == "f1":
        return 2 * true_yes / (all_yes + positives)
    if by == "balanced_accuracy":
        return (true_yes / positives + 1 - false_yes / negatives) / 2
    return (true_yes + negatives - false_yes) / total


def _middle(low: float, high: float) -> float:
    """The middle of (low, high] as a float32 number; high where none lies between."""
    middle = float(np.float32((low + high) / 2))
    return middle if low < middle <= high else high
