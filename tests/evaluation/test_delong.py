"""DeLong: the fast mid-ranks against counting pairs, and cases worked out by hand."""

import math

import numpy as np
import pytest
import scipy.stats
from sklearn.metrics import roc_auc_score

from lexome.errors import InputError
from lexome.evaluation.delong import auroc_covariance, delong_interval, delong_test


def by_pairs(truth, scores):
    """The definition of DeLong 1988: every positive against every negative."""
    truth, scores = np.asarray(truth, bool), np.asarray(scores, float)
    positive, negative = scores[:, truth], scores[:, ~truth]
    wins = (positive[:, :, None] > negative[:, None, :]) + 0.5 * (
        positive[:, :, None] == negative[:, None, :]
    )
    of_positive, of_negative = wins.mean(axis=2), wins.mean(axis=1)
    covariance = np.cov(of_positive) / positive.shape[1] + np.cov(of_negative) / negative.shape[1]
    return wins.mean(axis=(1, 2)), covariance


def simulated(rows, seed, digits):
    rng = np.random.default_rng(seed)
    truth = (rng.random(rows) < 0.3).astype(int)
    truth[:4] = [0, 1, 0, 1]
    return truth, np.round(rng.normal(size=(3, rows)) + truth, digits)


@pytest.mark.parametrize("rows", [6, 40, 300])
@pytest.mark.parametrize("digits", [0, 1, 8])  # many ties, some, none
def test_mid_ranks_agree_with_counting_pairs(rows, digits):
    truth, scores = simulated(rows, seed=rows, digits=digits)

    found = auroc_covariance(truth, scores)

    auroc, covariance = by_pairs(truth, scores)
    assert found.auroc_M == pytest.approx(auroc, abs=1e-12)
    assert found.covariance_MM == pytest.approx(covariance, abs=1e-12)
    assert found.auroc_M[0] == pytest.approx(roc_auc_score(truth, scores[0]))


def test_the_area_is_the_rank_sum_of_mann_and_whitney():
    truth, scores = simulated(80, seed=1, digits=1)
    u = scipy.stats.mannwhitneyu(scores[0][truth == 1], scores[0][truth == 0]).statistic

    assert auroc_covariance(truth, scores[:1]).auroc_M[0] == pytest.approx(
        u / (truth.sum() * (1 - truth).sum())
    )


def test_a_variance_worked_out_by_hand():
    """Positives 2, 4 and negatives 1, 3: they beat (1/2, 1) and are beaten by (1, 1/2).

    Both have the variance 1/8, so that of the area is 1/8 / 2 + 1/8 / 2.
    """
    found = auroc_covariance([0, 1, 0, 1], [[1, 2, 3, 4]])

    assert found.auroc_M[0] == 0.75
    assert found.covariance_MM[0, 0] == pytest.approx(0.125)


def test_the_interval_holds_the_true_area_in_19_of_20_draws():
    true, hits = scipy.stats.norm.cdf(1 / np.sqrt(2)), 0
    rng = np.random.default_rng(5)
    for _ in range(1000):
        truth = np.repeat([0, 1], [60, 40])
        found = delong_interval(truth, rng.normal(size=100) + truth)
        hits += found.low <= true <= found.high
    assert 930 <= hits <= 970


def test_models_that_are_equally_good_differ_in_1_of_20_draws():
    rng = np.random.default_rng(6)
    truth = np.repeat([0, 1], [60, 40])
    p_values = [
        delong_test(truth, rng.normal(size=100) + truth, rng.normal(size=100) + truth).p
        for _ in range(1000)
    ]
    assert 30 <= sum(p < 0.05 for p in p_values) <= 70


def test_the_test_is_that_of_the_difference_and_its_error():
    truth, scores = simulated(200, seed=2, digits=8)
    auroc, covariance = by_pairs(truth, scores[:2])
    error = math.sqrt(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])

    found = delong_test(truth, *scores[:2])

    assert found.difference == pytest.approx(auroc[0] - auroc[1])
    assert found.p == pytest.approx(2 * scipy.stats.norm.sf(abs(found.difference) / error))
    assert (found.low + found.high) / 2 == pytest.approx(found.difference)
    assert found.high - found.low == pytest.approx(2 * 1.959964 * error, rel=1e-6)
    assert delong_test(truth, scores[1], scores[0]).difference == -found.difference


@pytest.mark.parametrize(
    ("truth", "score", "value"),
    [
        ([0, 0, 1, 1], [1, 2, 3, 4], 1.0),  # perfect separation
        ([0, 0, 1, 1], [4, 3, 2, 1], 0.0),
        ([0, 0, 1, 1], [7, 7, 7, 7], 0.5),  # equal scores
        ([0, 0, 1], [1, 3, 2], 0.5),  # one positive: no variance among them
    ],
)
def test_no_interval_where_the_variance_says_nothing(truth, score, value):
    found = delong_interval(truth, score)

    assert found.value == value
    assert math.isnan(found.low)
    assert math.isnan(found.high)


def test_one_class_has_no_area():
    assert all(math.isnan(number) for number in delong_interval([1, 1, 1], [1, 2, 3]))


def test_the_same_order_is_no_difference_and_perfect_against_constant_no_test():
    truth = [0, 0, 0, 1, 1, 1]
    same = delong_test(truth, [1, 4, 2, 3, 5, 6], [10, 40, 20, 30, 50, 60])
    extreme = delong_test(truth, [1, 2, 3, 4, 5, 6], [1, 1, 1, 1, 1, 1])

    assert same[2:] == (0.0, 0.0, 0.0, 1.0)
    assert extreme.difference == 0.5
    assert math.isnan(extreme.p)


def test_scores_of_other_rows_are_refused():
    with pytest.raises(InputError, match="shape"):
        delong_test([0, 1, 1], [1, 2, 3], [1, 2])
