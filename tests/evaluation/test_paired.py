"""The paired bootstrap: against drawing rows one by one, and where the answer is known."""

import math
import time

import numpy as np
import pytest

from lexome.errors import InputError
from lexome.evaluation.metrics import METRICS, TASKS, measure
from lexome.evaluation.paired import Side, _draw_seeds, compare_paired, judge_difference
from lexome.evaluation.uncertainty import draw_weights
from lexome.seeds import numpy_generator
from tests.evaluation.test_uncertainty import simulated


@pytest.mark.parametrize("task", TASKS)
def test_it_agrees_with_repeating_rows_and_measuring_both_methods(task):
    truth, first = simulated(task, rows=50, seed=1)
    second = simulated(task, rows=50, seed=2)[1]
    groups = np.arange(50) // 2

    found = compare_paired(task, truth, Side([first]), Side([second]), groups, 7, 40)

    draws = {name: [] for name in found}
    for weights in np.concatenate(list(draw_weights(50, groups, 7, 40))):
        rows = np.repeat(np.arange(50), weights.astype(int))
        ours = measure(task, truth[rows], first[rows]).overall
        theirs = measure(task, truth[rows], second[rows]).overall
        for name in draws:
            draws[name].append(ours[name] - theirs[name])
    for name, numbers in draws.items():
        if np.isnan(numbers).any():
            continue
        low, high = np.percentile(numbers, [2.5, 97.5])
        assert (found[name].low, found[name].high) == pytest.approx((low, high), abs=1e-9)


def test_every_metric_that_has_a_better_way_is_compared():
    truth, prediction = simulated("binary")
    found = compare_paired("binary", truth, Side([prediction]), Side([prediction]))

    assert set(found) == set(METRICS["binary"]) - {"prevalence"}
    for difference in found.values():
        assert difference == (0.0, 0.0, 0.0, 1.0, "tie")


def good_and_bad(rows=400, seed=0):
    rng = np.random.default_rng(seed)
    truth = np.arange(rows) % 2
    good = np.clip(0.25 + 0.5 * truth + rng.normal(0, 0.2, rows), 0, 1)
    return truth, good, np.clip(rng.normal(0.5, 0.2, rows), 0, 1)


def test_a_better_model_is_better_by_rising_and_by_falling_metrics():
    truth, good, bad = good_and_bad()

    found = compare_paired("binary", truth, Side([good]), Side([bad]))
    turned = compare_paired("binary", truth, Side([bad]), Side([good]))

    assert found["auroc"].verdict == found["brier"].verdict == "better"
    assert found["auroc"].difference > 0 > found["brier"].difference
    assert turned["auroc"].verdict == turned["brier"].verdict == "worse"
    assert found["auroc"].p == pytest.approx(2 / 1001)


def test_pairing_sees_what_two_intervals_side_by_side_do_not():
    """The same model and a slightly worse one: their own intervals overlap nearly wholly."""
    from lexome.evaluation.uncertainty import bootstrap

    truth, good, _ = good_and_bad(rows=300, seed=3)
    worse = np.clip(good + np.random.default_rng(1).normal(0, 0.12, 300), 0, 1)

    found = compare_paired("binary", truth, Side([good]), Side([worse]))["auroc"]

    a, b = (bootstrap("binary", truth, p).overall["auroc"] for p in (good, worse))
    assert a.low < b.high  # by eye: not shown
    assert found.verdict == "better"


def test_the_interval_holds_the_spread_of_the_seeds():
    truth, good, bad = good_and_bad(rows=2000)
    mixed = [good, bad, (good + bad) / 2]

    alone = compare_paired("binary", truth, Side([mixed[2]]), Side([bad]))["auroc"]
    seeds = compare_paired("binary", truth, Side(mixed), Side([bad]))["auroc"]

    assert seeds.difference == pytest.approx(
        np.mean([measure("binary", truth, p).overall["auroc"] for p in mixed])
        - measure("binary", truth, bad).overall["auroc"]
    )
    assert seeds.high - seeds.low > 3 * (alone.high - alone.low)


@pytest.mark.parametrize("seeds", [2, 3, 8])
def test_drawn_seeds_give_the_variance_of_a_mean_without_bias(seeds):
    values = np.random.default_rng(4).normal(size=seeds)
    share = _draw_seeds(numpy_generator("test"), 200_000, seeds)

    assert share.sum(axis=1) == pytest.approx(1.0)
    assert (share @ values).var() == pytest.approx(values.var(ddof=1) / seeds, rel=0.02)


def test_equal_methods_are_told_apart_in_about_1_of_20_draws():
    rng, apart = np.random.default_rng(8), 0
    for seed in range(200):
        truth = rng.integers(0, 2, 200)
        first, second = (np.clip(rng.normal(0.4 + 0.2 * truth, 0.2), 0, 1) for _ in range(2))
        found = compare_paired("binary", truth, Side([first]), Side([second]), None, seed, 200)
        apart += found["auroc"].verdict != "tie"
    assert 2 <= apart <= 20


def test_copies_of_a_group_add_nothing():
    truth, good, bad = good_and_bad(rows=40)
    groups = np.tile(np.arange(40), 10)

    once = compare_paired("binary", truth, Side([good]), Side([bad]))["auroc"]
    tenfold = compare_paired(
        "binary", np.tile(truth, 10), Side([np.tile(good, 10)]), Side([np.tile(bad, 10)]), groups
    )["auroc"]

    assert (tenfold.low, tenfold.high) == pytest.approx((once.low, once.high))


def test_what_cannot_be_measured_is_no_tie():
    found = compare_paired("binary", [1, 1, 1], Side([[0.9, 0.8, 0.7]]), Side([[0.1, 0.2, 0.3]]))

    assert found["auroc"].verdict == "undefined"
    assert math.isnan(found["auroc"].p)
    assert found["brier"].verdict == "better"


def test_a_p_is_never_zero_and_a_tie_is_an_interval_that_holds_zero():
    assert judge_difference(0.1, np.full(999, 0.1)).p == 0.002
    assert judge_difference(0.1, np.linspace(-0.01, 0.2, 99)).verdict == "tie"
    assert judge_difference(0.1, [0.1] * 4 + [math.nan] * 6).verdict == "undefined"


def test_a_thousand_draws_of_five_thousand_rows_take_seconds():
    truth, good, bad = good_and_bad(rows=5000)
    begun = time.perf_counter()
    compare_paired("binary", truth, Side([good] * 3), Side([bad]), np.arange(5000) // 3)
    assert time.perf_counter() - begun < 15  # about 1.5 s; machines are shared


def test_a_method_without_answers_is_refused():
    with pytest.raises(InputError, match="without answers"):
        compare_paired("binary", [0, 1], Side([]), Side([[0.1, 0.2]]))
