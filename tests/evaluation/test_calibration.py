"""Reliability bins one can count, and thresholds against trying them all."""

import math

import numpy as np
import pytest
from sklearn import metrics as sk

from lexome.errors import InputError
from lexome.evaluation.calibration import (
    brier,
    choose_threshold,
    choose_thresholds,
    expected_calibration_error,
    reliability_bins,
)
from lexome.evaluation.decisions import decide

SCORES = {
    "mcc": sk.matthews_corrcoef,
    "f1": sk.f1_score,
    "balanced_accuracy": sk.balanced_accuracy_score,
    "accuracy": sk.accuracy_score,
}


def test_bins_of_equal_mass_hold_equally_many_rows():
    bins = reliability_bins([0, 0, 0, 1, 1, 1], [0.1, 0.2, 0.3, 0.4, 0.5, 0.9], num_bins=3)
    assert [(b.num_rows, b.observed) for b in bins] == [(2, 0.0), (2, 0.5), (2, 1.0)]
    assert [b.mean_probability for b in bins] == pytest.approx([0.15, 0.35, 0.7])
    assert (bins[0].low, bins[-1].high) == (0.1, 0.9)


def test_equal_probabilities_share_a_bin():
    bins = reliability_bins([0, 1, 0, 1], [0.3, 0.3, 0.3, 0.8], num_bins=4)
    assert [b.num_rows for b in bins] == [3, 1]


def test_bins_of_equal_width_leave_out_the_empty_ones():
    bins = reliability_bins([0, 1, 1], [0.0, 0.95, 1.0], num_bins=10, spacing="width")
    assert [(b.low, b.high, b.num_rows) for b in bins] == [(0.0, 0.1, 1), (0.9, 1.0, 2)]


def test_calibration_error_and_brier_are_those_on_paper():
    truth, probability = [0, 1, 1, 1], [0.4, 0.4, 0.9, 0.7]
    # width 1/2: {0.4, 0.4} says 0.4, is 0.5; {0.9, 0.7} says 0.8, is 1
    assert expected_calibration_error(truth, probability, num_bins=2) == pytest.approx(
        0.5 * 0.1 + 0.5 * 0.2
    )
    assert brier(truth, probability) == pytest.approx((0.16 + 0.36 + 0.01 + 0.09) / 4)


@pytest.mark.parametrize("by", SCORES)
def test_the_threshold_is_as_good_as_the_best_of_all(by):
    rng = np.random.default_rng(0)
    for trial in range(20):
        truth = (rng.random(30) < 0.3).astype(int)
        truth[:2] = 0, 1
        probability = np.round(np.clip(0.2 * truth + 0.8 * rng.random(30), 0, 1), 1 + trial % 2)
        found = choose_threshold(truth, probability, by)
        cuts = np.unique(probability)[1:]  # every cut that divides the rows
        best = max(SCORES[by](truth, decide(probability, cut)) for cut in cuts)
        assert found.score == pytest.approx(best)
        assert SCORES[by](truth, decide(probability, found.value)) == pytest.approx(best)


def test_of_equally_good_thresholds_the_widest_interval_wins_and_its_middle_is_taken():
    # accuracy 3/4 above 0.125 as well as above 0.25 as well as above 0.75: (0.25, 0.75] is widest
    truth, probability = [0, 1, 0, 1], [0.125, 0.25, 0.75, 1.0]
    assert choose_threshold(truth, probability, "accuracy") == (
        pytest.approx((0.75 + 1.0) / 2),
        0.75,
    )
    # both (0, 0.25] and (0.75, 1] are best and equally wide: the lower one wins
    assert choose_threshold([0, 1, 0, 1], [0.0, 0.25, 0.75, 1.0], "accuracy") == (0.125, 0.75)


def test_neighbouring_best_intervals_count_as_one():
    # yes from 0.5 and yes from 1.0 are both right three times of four: (0, 0.5] and (0.5, 1] join
    assert choose_threshold([0, 1, 0, 1], [0.0, 0.5, 0.5, 1.0], "accuracy") == (0.5, 0.75)


def test_two_neighbouring_float32_numbers_are_still_divided():
    low = np.float32(0.5)
    high = np.nextafter(low, np.float32(1))
    probability = np.array([low, high], np.float32)
    found = choose_threshold([0, 1], probability)
    assert (probability >= np.float32(found.value)).tolist() == [False, True]
    assert decide(probability, found.value).tolist() == [False, True]


def test_where_nothing_can_be_chosen_the_threshold_is_a_half_and_says_so():
    for truth, probability in (([1, 1], [0.2, 0.3]), ([0, 1], [0.3, 0.3])):
        found = choose_threshold(truth, probability)
        assert found.value == 0.5
        assert math.isnan(found.score)


def test_each_label_gets_its_own_threshold():
    found = choose_thresholds(
        [[0, 1], [1, 0], [1, 1]], [[0.25, 0.875], [0.5, 0.625], [0.75, 0.875]]
    )
    assert [threshold.value for threshold in found] == [0.375, 0.75]


def test_an_unknown_criterion_is_refused():
    with pytest.raises(InputError, match="mcc, f1"):
        choose_threshold([0, 1], [0.1, 0.9], by="luck")
