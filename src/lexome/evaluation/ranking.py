"""How well scores rank the rows of an assay, by the definitions of ProteinGym, with an interval.

Source: Notin et al. 2023, "ProteinGym", NeurIPS Datasets and Benchmarks, and the published code
(`performance_DMS_benchmarks.py`), to which tests hold these functions on rows without ties.
Higher scores are fitter throughout.
"""

# Letters: N rows, R resamples.
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import spearmanr
from sklearn.metrics import matthews_corrcoef, roc_auc_score

from lexome.errors import InputError
from lexome.evaluation.decisions import Floats, check_truth, check_values
from lexome.evaluation.uncertainty import NUM_RESAMPLES, draw_weights, interval
from lexome.evaluation.weighted import weighted_ranking, weighted_spearman
from lexome.results.types import Estimate

TOP_PERCENT = 10.0
MANY_ROWS, FEWER_RESAMPLES = 20_000, 200  # an interval of so many rows is narrow in any case
NAN = float("nan")


class Ranking(NamedTuple):
    """ProteinGym's five figures of one assay; NaN where one is undefined."""

    spearman: Estimate
    auroc: float  # of the assay's own two classes
    mcc: float  # of these and of the score cut at its median
    ndcg: float  # of the tenth of the rows that is ranked highest
    top_recall: float  # the share of the best tenth that is ranked within the best tenth


def rank_metrics(
    truth: ArrayLike,
    score: ArrayLike,
    is_positive: ArrayLike,
    groups: ArrayLike | None = None,
    seed: int = 0,
    num_resamples: int | None = None,
) -> Ranking:
    """The five figures of ProteinGym; the interval of Spearman is that of 95 %.

    Args:
        truth: (N,) what was measured, higher is fitter.
        score: (N,) what was predicted, higher is fitter.
        is_positive: (N,) 0 and 1, the measurement cut at the assay's own threshold.
        groups: (N,) rows that are drawn together in the bootstrap (such as those of one site);
            without it each row is its own.
        num_resamples: else 1,000, and 200 of more than 20,000 rows.
    """
    where = "ranking"
    truth_N = np.asarray(truth, np.float64)
    if truth_N.ndim != 1 or truth_N.size < 2:
        raise InputError(where, f"{truth_N.size} rows", "at least two", "checking the assay")
    truth_N = check_values(truth_N, truth_N.shape, where)
    score_N = check_values(score, truth_N.shape, where)
    yes_N = check_truth(is_positive, where, 1)
    both = yes_N.min() != yes_N.max()
    called_N = (score_N >= np.median(score_N)).astype(np.int64)
    return Ranking(
        spearman_interval(truth_N, score_N, groups, seed, num_resamples),
        float(roc_auc_score(yes_N, score_N)) if both else NAN,
        float(matthews_corrcoef(yes_N, called_N)) if both else NAN,
        ndcg(truth_N, score_N),
        top_recall(truth_N, score_N),
    )


def spearman_interval(
    truth: ArrayLike,
    score: ArrayLike,
    groups: ArrayLike | None = None,
    seed: int = 0,
    num_resamples: int | None = None,
) -> Estimate:
    """Spearman's rank correlation and its 95 % percentile bootstrap interval.

    >>> round(spearman_interval([1, 2, 3, 4], [1, 2, 4, 3], num_resamples=50).value, 6)
    0.8
    """
    truth_N, score_N = np.asarray(truth, np.float64), np.asarray(score, np.float64)
    if np.ptp(truth_N) == 0 or np.ptp(score_N) == 0:
        return Estimate(NAN, NAN, NAN)
    value = float(spearmanr(truth_N, score_N)[0])
    if num_resamples is None:
        num_resamples = NUM_RESAMPLES if len(truth_N) <= MANY_ROWS else FEWER_RESAMPLES
    spearman = weighted_spearman(truth_N, score_N)
    draws = [spearman(w_RN) for w_RN in draw_weights(len(truth_N), groups, seed, num_resamples)]
    return interval(value, np.concatenate(draws))


def ndcg(truth: ArrayLike, score: ArrayLike, top_percent: float = TOP_PERCENT) -> float:
    """Normalised discounted cumulative gain of the highest-ranked rows, as ProteinGym has it.

    Gains are the measurements brought to 0..1 by their least and largest value; only the ranks
    1 to floor(N x top_percent / 100) count, each by gain / log2(rank + 1), and the sum is divided
    by that of the best possible order. Rows of equal score share their ranks' discounts, which is
    the mean over all their orders: the published code takes the order that its sort leaves, by
    which a table that is sorted by the measurement would give them away.

    NaN where fewer than 100 / top_percent rows leave no rank to count, or all gains are equal.

    >>> round(ndcg([0.0, 1.0, 3.0, 2.0], [1, 2, 3, 4], top_percent=50), 4)
    0.9134
    """
    truth_N, score_N = np.asarray(truth, np.float64), np.asarray(score, np.float64)
    num = int(np.floor(len(truth_N) * top_percent / 100))
    spread = np.ptp(truth_N)
    if not num or not spread:
        return NAN
    gain_N = (truth_N - truth_N.min()) / spread
    discount = 1 / np.log2(np.arange(2, num + 2))
    _, level_N = np.unique(-score_N, return_inverse=True)
    mean_of_level = np.bincount(level_N, gain_N) / np.bincount(level_N)
    found = mean_of_level[np.sort(level_N)[:num]]
    best = np.sort(gain_N)[::-1][:num]
    return float((found * discount).sum() / (best * discount).sum())


def top_recall(truth: ArrayLike, score: ArrayLike, top_percent: float = TOP_PERCENT) -> float:
    """The share of the best rows that is scored among the best, both by ProteinGym's cut.

    Best are rows above (not at) the 90th percentile; NaN where ties leave none above it.

    >>> top_recall(range(20), [*range(18), 19, 18])
    1.0
    """
    truth_N, score_N = np.asarray(truth, np.float64), np.asarray(score, np.float64)
    best_N = truth_N > np.percentile(truth_N, 100 - top_percent)
    said_N = score_N > np.percentile(score_N, 100 - top_percent)
    return float((best_N & said_N).sum() / best_N.sum()) if best_N.any() else NAN


def two_class_interval(
    is_positive: ArrayLike, score: ArrayLike, groups: ArrayLike | None = None, seed: int = 0
) -> tuple[Estimate, Estimate]:
    """AUROC and average precision of any scores (no probabilities needed), with 95 % intervals."""
    yes_N = check_truth(is_positive, "AUROC and AUPRC", 1)
    score_N = check_values(score, yes_N.shape, "AUROC and AUPRC")
    if yes_N.min() == yes_N.max():
        return Estimate(NAN, NAN, NAN), Estimate(NAN, NAN, NAN)
    rank = weighted_ranking(yes_N, score_N)
    ones: Floats = np.ones((1, len(yes_N)))
    point = rank(ones)
    draws = [rank(w_RN) for w_RN in draw_weights(len(yes_N), groups, seed, NUM_RESAMPLES)]
    auroc, auprc = (
        interval(float(point[k][0]), np.concatenate([draw[k] for draw in draws])) for k in (0, 1)
    )
    return auroc, auprc
