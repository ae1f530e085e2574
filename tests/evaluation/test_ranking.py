"""ProteinGym's figures: on paper, and against its published formulas written out anew."""

from itertools import permutations

import numpy as np
import pytest
from scipy.stats import spearmanr

from lexome.errors import InputError
from lexome.evaluation.ranking import (
    ndcg,
    rank_metrics,
    spearman_interval,
    top_recall,
    two_class_interval,
)


def published_ndcg(truth: np.ndarray, score: np.ndarray, top: float = 10) -> float:
    """The published definition, rank by rank."""
    num = int(len(truth) * top / 100)
    gains = (truth - truth.min()) / (truth.max() - truth.min())
    rank = np.argsort(np.argsort(-score)) + 1
    ideal = np.argsort(np.argsort(-gains)) + 1
    found = sum(g / np.log2(r + 1) for g, r in zip(gains, rank, strict=True) if r <= num)
    best = sum(g / np.log2(r + 1) for g, r in zip(gains, ideal, strict=True) if r <= num)
    return float(found / best)


def test_ndcg_is_the_published_one() -> None:
    rng = np.random.default_rng(0)
    for size in (10, 57, 400):
        truth, score = rng.normal(size=size), rng.normal(size=size)
        assert ndcg(truth, score) == pytest.approx(published_ndcg(truth, score), abs=1e-12)
    assert ndcg(truth, truth) == 1.0
    assert ndcg(truth, -truth) < 0.5


def test_ndcg_by_hand() -> None:
    """Two ranks count; their gains are 2/3 and 1: (2/3 + 1/log2 3) / (1 + (2/3)/log2 3)."""
    wanted = (2 / 3 + 1 / np.log2(3)) / (1 + (2 / 3) / np.log2(3))
    assert ndcg([0, 1, 3, 2], [1, 2, 3, 4], top_percent=50) == pytest.approx(wanted)


def test_rows_of_equal_score_are_not_given_away_by_the_order_of_the_table() -> None:
    """The mean over all orders of the ties, whatever the table's own."""
    truth, score = np.array([3.0, 2.0, 1.0, 0.0, 5.0]), np.array([1.0, 1.0, 1.0, 0.0, 2.0])
    found = ndcg(truth, score, top_percent=60)
    orders = [
        ndcg(truth, score + np.append(np.array(noise) * 1e-3, [0, 0]), top_percent=60)
        for noise in permutations(range(3))
    ]
    assert found == pytest.approx(np.mean(orders))
    assert ndcg(truth[::-1], score[::-1], top_percent=60) == pytest.approx(found)


def test_what_cannot_be_told_is_nan() -> None:
    assert np.isnan(ndcg([1.0, 2.0, 3.0], [1, 2, 3]))  # a tenth of three rows is none
    assert np.isnan(ndcg(np.ones(20), np.arange(20)))
    assert np.isnan(top_recall(np.ones(20), np.arange(20)))
    assert np.isnan(spearman_interval([1, 2, 3], [5, 5, 5]).value)
    found = rank_metrics([1, 2, 3], [1, 2, 3], [0, 0, 0])
    assert np.isnan(found.auroc)
    assert np.isnan(found.mcc)


def test_the_median_is_called_positive() -> None:
    """Scores 1 2 3 4, median 2.5: the two upper ones are called; truth 0 1 0 1 gives MCC 0."""
    found = rank_metrics([1, 4, 2, 5], [1, 2, 3, 4], [0, 1, 0, 1])
    assert found.mcc == 0.0
    assert found.auroc == 0.75
    assert rank_metrics([1, 4, 2, 5], [1, 3, 2, 4], [0, 1, 0, 1]).mcc == 1.0


def test_top_recall_by_hand() -> None:
    """Of 20 rows the best two are rows 18 and 19; the score has only one of them among its best."""
    score = np.arange(20.0)
    score[18] = -1
    assert top_recall(np.arange(20.0), score) == 0.5


def test_the_interval_holds_the_value_and_widens_with_groups() -> None:
    rng = np.random.default_rng(1)
    site = np.repeat(np.arange(40), 10)
    truth = rng.normal(size=40)[site] + 0.3 * rng.normal(size=400)
    score = truth + rng.normal(size=40)[site]
    alone = spearman_interval(truth, score)
    together = spearman_interval(truth, score, groups=site)
    assert alone.value == together.value == pytest.approx(spearmanr(truth, score)[0])
    assert together.low < alone.low < alone.value < alone.high < together.high


def test_scores_need_not_be_probabilities() -> None:
    auroc, auprc = two_class_interval([0, 0, 1, 1], [-5.0, 3.0, 2.0, 9.0])
    assert auroc.value == 0.75
    assert auprc.value == pytest.approx((1 + 2 / 3) / 2)


def test_a_prediction_that_is_no_number_is_refused() -> None:
    with pytest.raises(InputError, match="without a finite prediction"):
        rank_metrics([1, 2], [1, np.nan], [0, 1])
