"""Intervals from sums of groups are those from rows."""

import numpy as np
import pytest

from lexome.evaluation import grouped
from lexome.evaluation.grouped import grouped_metrics
from lexome.evaluation.uncertainty import mean_over_seeds
from lexome.evaluation.weighted import weighted_metrics


def rows(num=600, groups=12, digits=2, seed=0):
    generator = np.random.default_rng(seed)
    truth_N = generator.integers(0, 3, num)
    raw_NK = generator.gamma(1.0, size=(num, 3)) + 1.5 * np.eye(3)[truth_N]
    shares_NK = (raw_NK / raw_NK.sum(1, keepdims=True)).round(digits)
    shares_NK[:, 0] = 1 - shares_NK[:, 1:].sum(1)
    return truth_N, shares_NK.clip(0, 1), generator.integers(0, groups, num)


def weights(groups=12, draws=40):
    return np.random.default_rng(1).integers(0, 4, (draws, groups)).astype(float)


@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_groups_summed_up_give_what_their_rows_give(task):
    truth_N, said_NK, group_N = rows()
    truth, said = (truth_N, said_NK) if task == "multiclass" else (truth_N == 1, said_NK[:, 1])
    by_group = grouped_metrics(task, truth, said, 0.4, group_N)(weights())
    by_row = weighted_metrics(task, truth, said, 0.4)(weights()[:, group_N])
    for ours, plain in ((by_group[0], by_row[0]), *zip(by_group[1], by_row[1], strict=True)):
        assert ours.keys() == plain.keys()
        for name in plain:
            np.testing.assert_allclose(ours[name], plain[name], atol=1e-9, err_msg=name)


def test_many_different_scores_are_rounded_by_less_than_can_be_seen(monkeypatch):
    monkeypatch.setattr(grouped, "MOST_LEVELS", 200)
    truth_N, said_NK, group_N = rows(num=5000, digits=12)
    truth, said = truth_N == 1, said_NK[:, 1]
    by_group = grouped_metrics("binary", truth, said, 0.5, group_N)(weights())[0]
    by_row = weighted_metrics("binary", truth, said, 0.5)(weights()[:, group_N])[0]
    for name in ("auroc", "auprc"):
        assert abs(by_group[name] - by_row[name]).max() < 2e-3
        assert abs(by_group[name] - by_row[name]).max() < 0.1 * by_row[name].std()
    once = grouped_metrics("binary", truth, said, 0.5, group_N)(np.ones((1, 12)))[0]
    exact = weighted_metrics("binary", truth, said, 0.5)(np.ones((1, 5000)))[0]
    assert once["auprc"] == pytest.approx(exact["auprc"], abs=1e-12)


def test_the_same_groups_are_drawn_either_way():
    truth_N, said_NK, group_N = rows()
    asked = ("multiclass", truth_N, [said_NK, said_NK], None, group_N)
    one = mean_over_seeds(*asked, num_resamples=200, by_group=True)
    other = mean_over_seeds(*asked, num_resamples=200)
    for name, estimate in other.overall.items():
        assert one.overall[name] == pytest.approx(estimate, abs=1e-9), name


def test_very_many_groups_leave_levels_enough_to_rank_by():
    """Of 400,000 groups only five levels fitted, so that draws were those of a coarser score."""
    generator = np.random.default_rng(0)
    truth = generator.integers(0, 2, 400_000)
    score = np.clip(0.5 + 0.1 * (truth - 0.5) + generator.normal(size=400_000) / 5, 0, 1)
    rank = grouped._ranking_of(truth, score, np.arange(400_000))
    weights = generator.poisson(1.0, (3, 400_000)).astype(np.float64)
    exact = weighted_metrics("binary", truth, score, 0.5)(weights)[0]
    for found, name in zip(rank(weights), ("auroc", "auprc"), strict=True):
        assert found == pytest.approx(exact[name], abs=4e-4)
