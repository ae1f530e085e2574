"""From a score to a probability: fitted on labelled rows, judged on held-out ones, with its limits.

Two ways are tried, and the one with the lower log loss on folds within the rows is taken: logistic
(Platt 1999, "Probabilistic outputs for support vector machines", with his smoothed targets) and
isotonic (pool adjacent violators; Zadrozny and Elkan 2002, KDD). No cut-off comes out of it.
"""

# Letters: N rows, K knots.
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata
from sklearn.isotonic import isotonic_regression
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from lexome.errors import InputError
from lexome.evaluation.calibration import brier, expected_calibration_error
from lexome.evaluation.decisions import Floats, Ints, check_truth, check_values
from lexome.evaluation.ranking import two_class_interval
from lexome.evaluation.uncertainty import NUM_RESAMPLES, bootstrap, draw_weights, interval
from lexome.results.types import Estimate
from lexome.seeds import derive_seed

METHODS = ("logistic", "isotonic")
NUM_FOLDS = 5
LEAST_OF_A_CLASS = 10


class Calibrator(NamedTuple):
    """A monotone function from score to probability; plain numbers."""

    method: str
    low: float  # the least and the largest score that was seen
    high: float
    prevalence: float  # share of positives among the rows
    rows: int
    slope: float = 0.0  # logistic, of the standardised score
    intercept: float = 0.0
    mean: float = 0.0
    scale: float = 1.0
    knots: tuple[float, ...] = ()  # isotonic: scores, in rising order
    heights: tuple[float, ...] = ()  # and the probability at each


class Calibration(NamedTuple):
    """A calibrator fitted to all rows, and how well the same recipe did on rows left out."""

    calibrator: Calibrator
    held_out: Floats  # (N,) probabilities by fits that had not seen the row's group
    methods: list[str]  # the method that each outer fold chose
    figures: dict[str, Estimate]  # of the held-out probabilities
    num_groups: int


def fit_calibration(
    truth: ArrayLike, score: ArrayLike, groups: ArrayLike | None = None, seed: int = 0
) -> Calibration:
    """Fit and judge a calibration.

    The judged probabilities come from five outer folds, in each of which the method is chosen
    anew by folds of its own: nothing of a held-out row or of its group is in them. What is
    handed over is then fitted, and its method chosen, on all rows.

    Args:
        truth: (N,) 0 or 1.
        score: (N,) finite; whether a higher one means 1 or 0 is found from the rows.
        groups: (N,) rows that never stand on both sides, such as those of one gene.
        seed: of the folds.

    Raises:
        InputError: fewer than ten rows, or five groups, of a class to divide into folds; a group
            that leaves too few rows when it is held out.
    """
    where = "calibration"
    truth_N = check_truth(truth, where, 1)
    score_N = check_values(score, truth_N.shape, where)
    group_N = (
        np.arange(len(truth_N)) if groups is None else np.unique(groups, return_inverse=True)[1]
    )
    if group_N.shape != truth_N.shape:
        raise InputError(where, f"{len(group_N)} groups", "one a row", "the column of the groups")
    _check_enough(truth_N, group_N)
    held_out = np.zeros(len(truth_N))
    methods = []
    outer = _folds(truth_N, group_N, seed, "outer")
    _check_folds(truth_N, group_N, outer)
    for number, (train, test) in enumerate(outer):
        method = choose_method(truth_N[train], score_N[train], group_N[train], seed + number)
        found = fit_calibrator(truth_N[train], score_N[train], method)
        held_out[test] = calibrate(found, score_N[test])
        methods.append(method)
    chosen = choose_method(truth_N, score_N, group_N, seed)
    return Calibration(
        fit_calibrator(truth_N, score_N, chosen),
        held_out,
        methods,
        judge_probabilities(truth_N, held_out, score_N, group_N, seed),
        len(np.unique(group_N)),
    )


def choose_method(truth_N: Ints, score_N: Floats, group_N: Ints, seed: int = 0) -> str:
    """The method of the lower log loss over folds of these rows; of equals the logistic one."""
    losses = dict.fromkeys(METHODS, 0.0)
    for train, test in _folds(truth_N, group_N, seed, "inner"):
        for method in METHODS:
            found = fit_calibrator(truth_N[train], score_N[train], method)
            said = calibrate(found, score_N[test])
            losses[method] += float(log_losses(truth_N[test], said).sum())
    return min(METHODS, key=lambda method: losses[method])


def fit_calibrator(truth: ArrayLike, score: ArrayLike, method: str) -> Calibrator:
    """Fit one method to rows of both classes.

    >>> found = fit_calibrator([0, 1, 0, 1, 1, 1], [1, 2, 3, 4, 5, 6], "isotonic")
    >>> [round(float(p), 3) for p in calibrate(found, [2.5, 6])]
    [0.5, 0.875]
    """
    truth_N = check_truth(truth, "calibration", 1)
    score_N = check_values(score, truth_N.shape, "calibration")
    low, high = float(score_N.min()), float(score_N.max())
    facts = (method, low, high, float(truth_N.mean()), len(truth_N))
    if method == "isotonic":
        knots, heights = _fit_isotonic(truth_N, score_N)
        return Calibrator(*facts, knots=knots, heights=heights)
    if method == "logistic":
        slope, intercept, mean, scale = _fit_logistic(truth_N, score_N)
        return Calibrator(*facts, slope, intercept, mean, scale)
    raise InputError("calibration", repr(method), " or ".join(METHODS), "logistic")


def _fit_logistic(truth_N: Ints, score_N: Floats) -> tuple[float, float, float, float]:
    """Newton's method on the smoothed targets of Platt: (n1 + 1) / (n1 + 2) and 1 / (n0 + 2)."""
    mean, scale = float(score_N.mean()), float(score_N.std()) or 1.0
    columns_N2 = np.stack([(score_N - mean) / scale, np.ones(len(score_N))], axis=1)
    positives = truth_N.sum()
    negatives = len(truth_N) - positives
    target_N = np.where(truth_N == 1, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    weights_2 = np.array([0.0, np.log((positives + 1) / (negatives + 1))])
    for _ in range(100):
        said_N = _sigmoid(columns_N2 @ weights_2)
        slope_2 = columns_N2.T @ (said_N - target_N)
        bend_22 = (columns_N2 * (said_N * (1 - said_N))[:, None]).T @ columns_N2
        step_2 = np.linalg.solve(bend_22 + 1e-10 * np.eye(2), slope_2)
        # A step beyond this size would leave the region where the bend says anything.
        step_2 *= min(1.0, 5.0 / max(float(np.abs(step_2).max()), 1e-12))
        weights_2 = weights_2 - step_2
        if np.abs(step_2).max() < 1e-10:
            break
    return float(weights_2[0]), float(weights_2[1]), mean, scale


def _fit_isotonic(truth_N: Ints, score_N: Floats) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """A rising (or falling) step function, each step smoothed as (k + 1/2) / (n + 1).

    A step of few rows says 0 or 1 outright, which no finite number of rows shows: one half of a
    positive and of a negative row is added to each (Jeffreys' prior), and the steps pooled again.
    """
    levels, place = np.unique(score_N, return_inverse=True)
    rows = np.bincount(place).astype(np.float64)
    yes = np.bincount(place, weights=truth_N)
    rising = _rises(truth_N, score_N)
    height = isotonic_regression(yes / rows, sample_weight=rows, increasing=rising)
    step = np.concatenate([[0], np.cumsum(np.diff(height) != 0)])
    in_step, yes_step = np.bincount(step, weights=rows), np.bincount(step, weights=yes)
    smooth = (yes_step + 0.5) / (in_step + 1)
    smooth = isotonic_regression(smooth, sample_weight=in_step, increasing=rising)
    # Two knots a step: flat within it, a straight line to the next one.
    first = np.searchsorted(step, np.arange(len(smooth)), side="left")
    last = np.searchsorted(step, np.arange(len(smooth)), side="right") - 1
    keep = np.unique(np.concatenate([first, last]))
    heights = smooth[step[keep]]
    return tuple(map(float, levels[keep])), tuple(map(float, heights))


def _rises(truth_N: Ints, score_N: Floats) -> bool:
    """Whether higher scores mean more positives: by their mean rank, which equal scores share."""
    ranks = rankdata(score_N)
    return bool(ranks[truth_N == 1].mean() >= ranks[truth_N == 0].mean())


def calibrate(calibrator: Calibrator, score: ArrayLike, prevalence: float | None = None) -> Floats:
    """The probability of each score; a score beyond those seen has that of the nearest seen.

    Args:
        calibrator: from `fit_calibrator`.
        score: (N,) finite.
        prevalence: share of positives where the scores come from, if it is another one than that of
            the rows: the odds are multiplied by the ratio of both odds (Saerens et al. 2002,
            Neural Computation 14:21), which holds where only the shares differ, not what the scores
            of either class look like.
    """
    score_N = np.clip(np.asarray(score, np.float64), calibrator.low, calibrator.high)
    if calibrator.method == "isotonic":
        said_N = np.interp(score_N, calibrator.knots, calibrator.heights)
    else:
        standard_N = (score_N - calibrator.mean) / calibrator.scale
        said_N = _sigmoid(calibrator.slope * standard_N + calibrator.intercept)
    return said_N if prevalence is None else shift_prior(said_N, calibrator.prevalence, prevalence)


def shift_prior(probability: ArrayLike, seen: float, wanted: float) -> Floats:
    """Probabilities under another share of positives.

    >>> shift_prior([0.5], seen=0.5, wanted=0.1).round(3).tolist()
    [0.1]
    """
    if not 0 < wanted < 1:
        raise InputError("--prevalence", f"{wanted:g}", "a share above 0 and below 1", "0.1")
    said_N = np.asarray(probability, np.float64)
    ratio = wanted / (1 - wanted) * (1 - seen) / seen
    shifted: Floats = said_N * ratio / (said_N * ratio + 1 - said_N)
    return shifted


def judge_probabilities(
    truth_N: Ints, said_N: Floats, score_N: Floats, group_N: Ints, seed: int = 0
) -> dict[str, Estimate]:
    """Log loss, Brier score and ECE of probabilities, and the AUROC of the score.

    Intervals of 95 % draw whole groups. `log_loss_constant` and `brier_constant` are those of
    saying the share of positives to every row: a calibration that is no better says nothing.
    """
    found = bootstrap("binary", truth_N, said_N, groups=group_N, seed=seed).overall
    share = float(truth_N.mean())
    losses_N = log_losses(truth_N, said_N)
    draws = [
        (w_RN @ losses_N) / w_RN.sum(axis=1)
        for w_RN in draw_weights(len(truth_N), group_N, seed, NUM_RESAMPLES)
    ]
    nothing = float("nan")
    constant = np.full(len(truth_N), share)
    return {
        "log_loss": interval(float(losses_N.mean()), np.concatenate(draws)),
        "log_loss_constant": Estimate(
            float(log_losses(truth_N, constant).mean()), nothing, nothing
        ),
        "brier": found["brier"],
        "brier_constant": Estimate(brier(truth_N, constant), nothing, nothing),
        "ece": found["ece"],
        "ece_mass": Estimate(
            expected_calibration_error(truth_N, said_N, 10, "mass"), nothing, nothing
        ),
        "auroc": two_class_interval(
            truth_N, score_N if _rises(truth_N, score_N) else -score_N, group_N, seed
        )[0],
    }


def log_losses(truth_N: Ints, said_N: Floats) -> Floats:
    """Minus the logarithm of the probability of what was true, a number a row, in nats."""
    right_N = np.where(truth_N == 1, said_N, 1 - said_N)
    losses: Floats = -np.log(np.maximum(right_N, 1e-12))
    return losses


def _sigmoid(value_N: Floats) -> Floats:
    found: Floats = 1 / (1 + np.exp(-np.clip(value_N, -700, 700)))
    return found


def _check_enough(truth_N: Ints, group_N: Ints) -> None:
    for value, name in ((1, "positive"), (0, "negative")):
        here = truth_N == value
        rows, groups = int(here.sum()), len(np.unique(group_N[here]))
        if rows < LEAST_OF_A_CLASS or groups < NUM_FOLDS:
            raise InputError(
                "calibration",
                f"{rows} {name} rows in {groups} groups",
                f"at least {LEAST_OF_A_CLASS} rows, of {NUM_FOLDS} groups, of either class",
                "more labelled rows",
            )


def _check_folds(
    truth_N: Ints, group_N: Ints, outer: Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]]
) -> None:
    """Every row is held out once, and what is left then can be divided into folds again."""
    left = min((np.bincount(truth_N[train]).max() for train, _ in outer), default=0)
    if left < NUM_FOLDS or sum(len(test) for _, test in outer) < len(truth_N):
        largest = int(np.bincount(group_N).max())
        raise InputError(
            "calibration",
            f"a group of {largest} of {len(truth_N)} rows",
            f"groups that leave {NUM_FOLDS} rows of a class to fit on when they are held out",
            "more labelled rows of other groups, or a finer --group",
        )


def _folds(
    truth_N: Ints, group_N: Ints, seed: int, what: str
) -> Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Folds with equal shares of positives, whole groups on one side; both classes to train on."""
    state = derive_seed("calibration", what, seed) % 2**32
    alone = len(np.unique(group_N)) == len(group_N)  # no group has a second row
    kind = StratifiedKFold if alone else StratifiedGroupKFold
    splitter = kind(NUM_FOLDS, shuffle=True, random_state=state)
    pairs = splitter.split(truth_N[:, None], truth_N, None if alone else group_N)
    return [(a, b) for a, b in pairs if len(b) and truth_N[a].min() != truth_N[a].max()]
