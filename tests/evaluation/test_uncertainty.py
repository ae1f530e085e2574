"""The bootstrap: its weighted arithmetic against scikit-learn and against repeated rows."""

import math
import time

import numpy as np
import pytest
from sklearn import metrics as sk

from lexome.errors import InputError
from lexome.evaluation.metrics import TASKS, measure
from lexome.evaluation.uncertainty import bootstrap, draw_weights, interval, mean_over_seeds
from lexome.evaluation.weighted import weighted_metrics


def simulated(task, rows=60, labels=3, seed=0):
    """A noisy prediction, with many ties, of each kind of task."""
    rng = np.random.default_rng(seed)
    if task == "multiclass":
        return rng.integers(0, labels, rows), rng.dirichlet(np.ones(labels), rows)
    if task == "regression":
        truth = np.round(rng.normal(size=rows), 1)
        return truth, np.round(truth + rng.normal(size=rows), 1)
    shape = (rows, labels) if task == "multilabel" else (rows,)
    truth = (rng.random(shape) < 0.3).astype(int)
    return truth, np.round(np.clip(0.3 * truth + 0.7 * rng.random(shape), 0, 1), 1)


def test_weighted_metrics_agree_with_scikit_learn():
    truth, probability = simulated("binary", rows=200)
    weights = np.random.default_rng(1).integers(0, 4, (5, 200)).astype(float)
    found = weighted_metrics("binary", truth, probability, 0.4)(weights)[0]
    called = (probability >= 0.4).astype(int)

    for r, w in enumerate(weights):
        assert found["auroc"][r] == pytest.approx(
            sk.roc_auc_score(truth, probability, sample_weight=w)
        )
        assert found["auprc"][r] == pytest.approx(
            sk.average_precision_score(truth, probability, sample_weight=w)
        )
        assert found["mcc"][r] == pytest.approx(
            sk.matthews_corrcoef(truth, called, sample_weight=w)
        )
        assert found["f1"][r] == pytest.approx(sk.f1_score(truth, called, sample_weight=w))
        assert found["brier"][r] == pytest.approx(
            sk.brier_score_loss(truth, probability, sample_weight=w)
        )
        assert found["balanced_accuracy"][r] == pytest.approx(
            sk.balanced_accuracy_score(truth, called, sample_weight=w)
        )


@pytest.mark.parametrize("task", TASKS)
def test_a_weight_is_the_same_as_a_row_that_often(task):
    """The fast path against the slow one, also where resamples are so small that metrics are undefined."""
    for rows in (5, 40):
        truth, prediction = simulated(task, rows)
        weights = np.concatenate(list(draw_weights(rows, None, seed=3, num_resamples=8)))
        overall, per_label = weighted_metrics(task, truth, prediction, 0.4)(weights)
        for r, w in enumerate(weights.astype(int)):
            slow = measure(task, np.repeat(truth, w, axis=0), np.repeat(prediction, w, axis=0), 0.4)
            fast = {name: float(values[r]) for name, values in overall.items()}
            assert fast == pytest.approx(slow.overall, nan_ok=True, abs=1e-12)
            for k, label in enumerate(slow.per_label):
                fast = {name: float(values[r]) for name, values in per_label[k].items()}
                assert fast == pytest.approx(label, nan_ok=True, abs=1e-12)


def test_rows_of_a_group_are_drawn_together_and_as_many_groups_as_there_are():
    groups = np.array(["x", "y", "x", "z", "y"])
    weights = np.concatenate(list(draw_weights(5, groups, seed=0, num_resamples=50)))
    assert (weights[:, 0] == weights[:, 2]).all()
    assert (weights[:, 1] == weights[:, 4]).all()
    assert (weights[:, [0, 1, 3]].sum(axis=1) == 3).all()


def test_the_interval_of_a_share_is_the_textbook_one():
    """Accuracy 0.8 on 400 rows: standard error 0.02, so 0.8 +- 0.039."""
    truth = np.array([1] * 200 + [0] * 200)
    called = np.where(np.arange(400) % 5 == 0, 1 - truth, truth)
    found = bootstrap("binary", truth, called, seed=0).overall["accuracy"]
    assert found.value == 0.8
    assert found.low == pytest.approx(0.8 - 0.0392, abs=0.006)
    assert found.high == pytest.approx(0.8 + 0.0392, abs=0.006)


def test_groups_of_ten_copies_widen_the_interval_by_the_root_of_ten():
    truth, probability = simulated("regression", rows=100)
    alone = bootstrap("regression", truth, probability, seed=1).overall["pearson"]
    copies = [np.repeat(truth, 10), np.repeat(probability, 10)]
    naive = bootstrap("regression", *copies, seed=1).overall["pearson"]
    grouped = bootstrap(
        "regression", *copies, groups=np.repeat(np.arange(100), 10), seed=1
    ).overall["pearson"]
    assert grouped == pytest.approx(alone)
    assert (grouped.high - grouped.low) / (naive.high - naive.low) == pytest.approx(
        math.sqrt(10), rel=0.15
    )


def test_the_same_seed_gives_the_same_interval():
    truth, probability = simulated("binary")
    assert bootstrap("binary", truth, probability, seed=5) == bootstrap(
        "binary", truth, probability, seed=5
    )
    assert bootstrap("binary", truth, probability, seed=5) != bootstrap(
        "binary", truth, probability, seed=6
    )


def test_the_mean_over_seeds_averages_each_resample():
    truth, one = simulated("binary", rows=80)
    two = simulated("binary", rows=80, seed=9)[1]
    found = mean_over_seeds("binary", truth, [one, two], [0.4, 0.5], seed=2).overall["auroc"]

    draws = []
    for weights in draw_weights(80, None, 2, 1000):
        values = [weighted_metrics("binary", truth, p)(weights)[0]["auroc"] for p in (one, two)]
        draws.append((values[0] + values[1]) / 2)
    by_hand = interval(
        (sk.roc_auc_score(truth, one) + sk.roc_auc_score(truth, two)) / 2, np.concatenate(draws)
    )
    assert found == pytest.approx(by_hand)


def test_a_seed_without_a_value_leaves_the_mean_without_one():
    found = mean_over_seeds(
        "binary", [0, 1, 0, 1], [[0.1, 0.9, 0.2, 0.8], [0.1, 0.2, 0.3, 0.4]], num_resamples=50
    )
    assert math.isnan(found.overall["precision"].value)  # the second never says yes
    assert found.overall["mcc"].value == 0.5  # (1 + 0) / 2: the collapsed seed counts


def test_undefined_values_have_undefined_intervals():
    found = bootstrap("binary", [1, 1, 1], [0.2, 0.9, 0.8], num_resamples=50).overall
    assert all(math.isnan(number) for number in found["auroc"])
    assert interval(0.5, np.array([np.nan, np.nan, 0.5])).value == 0.5
    assert math.isnan(interval(0.5, np.array([np.nan, np.nan, 0.5])).low)


def test_groups_of_another_length_are_refused():
    with pytest.raises(InputError, match="one for each of the 2 rows"):
        bootstrap("binary", [0, 1], [0.1, 0.9], groups=[0, 1, 2])


def test_a_thousand_resamples_of_six_thousand_rows_take_under_five_seconds():
    truth, probability = simulated("binary", rows=6000)
    start = time.process_time()
    found = bootstrap("binary", truth, probability)
    assert time.process_time() - start < 5
    assert found.overall["auroc"].low < found.overall["auroc"].value < found.overall["auroc"].high
