"""AUROC with DeLong's variance: an interval, and the test of two models on the same rows.

The variance takes the rows as independent. Rows of one family are not, so beside it stands the
bootstrap over groups (`uncertainty`, `paired`), which is the wider and the honest one there.

Source: DeLong, DeLong and Clarke-Pearson 1988, Biometrics 44:837; by mid-ranks in O(N log N), Sun
and Xu 2014, IEEE Signal Processing Letters 21:1389.
"""

# Letters: N rows, P positive and Q negative ones, M models.
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy.stats
from numpy.typing import ArrayLike

from lexome.evaluation.decisions import Floats, check_truth, check_values
from lexome.results.types import Estimate

LEVEL = 1.959963984540054  # 97.5th percentile of the standard normal distribution
NAN = float("nan")


class Areas(NamedTuple):
    """AUROC of several models on the same rows; NaN where a class has no row."""

    auroc_M: Floats
    covariance_MM: Floats  # NaN where a class has fewer than two rows


class AurocDifference(NamedTuple):
    """The AUROC of one model less that of another, on the same rows."""

    first: float
    second: float
    difference: float
    low: float
    high: float
    p: float  # two-sided


def auroc_covariance(truth: ArrayLike, scores: Sequence[ArrayLike]) -> Areas:
    """AUROC of each model and their covariance.

    Args:
        truth: (N,) 0 and 1.
        scores: one (N,) a model, higher means more likely 1; any scale.
    """
    where = "AUROC by DeLong"
    yes_N = check_truth(truth, where, 1).astype(bool)
    score_MN = np.stack([check_values(score, yes_N.shape, where) for score in scores])
    positives, negatives = int(yes_N.sum()), int((~yes_N).sum())
    count = len(score_MN)
    if not positives or not negatives:
        return Areas(np.full(count, NAN), np.full((count, count), NAN))
    rank_MN = scipy.stats.rankdata(score_MN, axis=1)
    within_MP = scipy.stats.rankdata(score_MN[:, yes_N], axis=1)
    within_MQ = scipy.stats.rankdata(score_MN[:, ~yes_N], axis=1)
    # The share of the other class that a row stands on the right side of, ties counting half.
    beaten_MP = (rank_MN[:, yes_N] - within_MP) / negatives
    beaten_MQ = 1 - (rank_MN[:, ~yes_N] - within_MQ) / positives
    auroc_M = beaten_MP.mean(axis=1)
    if positives < 2 or negatives < 2:
        return Areas(auroc_M, np.full((count, count), NAN))
    covariance_MM = np.cov(beaten_MP) / positives + np.cov(beaten_MQ) / negatives
    return Areas(auroc_M, np.asarray(covariance_MM).reshape(count, count))


def delong_interval(truth: ArrayLike, score: ArrayLike) -> Estimate:
    """AUROC with DeLong's 95 % interval, made on the logit scale, so that it ends within 0 to 1.

    The interval is NaN where the variance says nothing: perfect separation, equal scores, or a
    class with fewer than two rows.

    >>> found = delong_interval([0, 0, 0, 1, 1, 1], [0.1, 0.2, 0.6, 0.4, 0.8, 0.9])
    >>> [round(number, 3) for number in found]
    [0.889, 0.261, 0.995]
    """
    areas = auroc_covariance(truth, [score])
    value, variance = float(areas.auroc_M[0]), float(areas.covariance_MM[0, 0])
    if not variance > 0 or not 0 < value < 1:
        return Estimate(value, NAN, NAN)
    middle = np.log(value / (1 - value))
    reach = LEVEL * np.sqrt(variance) / (value * (1 - value))
    low, high = (1 / (1 + np.exp(-(middle + sign * reach))) for sign in (-1, 1))
    return Estimate(value, float(low), float(high))


def delong_test(truth: ArrayLike, first: ArrayLike, second: ArrayLike) -> AurocDifference:
    """The difference of two models' AUROC on the same rows, its 95 % interval and p.

    Models that order every pair of rows alike differ by 0 with p = 1. Where the variance is 0
    though the areas differ (one separates perfectly, the other says one number), or a class has
    fewer than two rows, interval and p are NaN.

    >>> delong_test([0, 0, 1, 1], [1, 2, 3, 4], [10, 20, 30, 40]).p
    1.0
    """
    areas = auroc_covariance(truth, [first, second])
    ours, theirs = map(float, areas.auroc_M)
    difference, cov_MM = ours - theirs, areas.covariance_MM
    variance = float(cov_MM[0, 0] + cov_MM[1, 1] - 2 * cov_MM[0, 1])
    if variance <= 1e-15 and abs(difference) < 1e-12:
        return AurocDifference(ours, theirs, 0.0, 0.0, 0.0, 1.0)
    if not variance > 1e-15:
        return AurocDifference(ours, theirs, difference, NAN, NAN, NAN)
    error = float(np.sqrt(variance))
    p = float(2 * scipy.stats.norm.sf(abs(difference) / error))
    low, high = difference - LEVEL * error, difference + LEVEL * error
    return AurocDifference(ours, theirs, difference, low, high, p)
