"""Hit-10, AUC and their intervals: answers on paper."""

import math

import numpy as np
import pytest

from lexome.evaluation.retrieval import (
    Retrieved,
    difference_interval,
    judge_query,
    mean_intervals,
)


def judge(near, positive, negative):
    return judge_query(
        np.array(near, np.float32), np.array(positive, bool), np.array(negative, bool)
    )


def test_ties_count_half_and_rows_left_out_count_not_at_all():
    """The positive at 1 wins of the negatives at 1 and 0: 0.5 + 1 of 2; the row at 9 is neither."""
    assert judge([1, 9, 1, 0], [1, 0, 0, 0], [0, 0, 1, 1]) == (1, 0.75)


def test_a_measure_that_tells_nothing_apart_has_no_hits_and_half_the_area():
    """One positive among 30 equal negatives: its place is 1 + 15."""
    assert judge(np.zeros(31), np.eye(31)[0], 1 - np.eye(31)[0]) == (0, 0.5)


@pytest.mark.parametrize(("nearer", "hit"), [(9, 1), (10, 0)])
def test_the_tenth_place_is_a_hit_and_the_eleventh_is_none(nearer, hit):
    near = [1.0] + [2.0] * nearer + [0.0] * 5
    positive = np.arange(len(near)) == 0
    assert judge(near, positive, ~positive) == (hit, 5 / (5 + nearer))


def test_no_positive_or_no_negative_is_no_figure():
    assert all(map(math.isnan, judge([1, 2], [0, 0], [1, 1])))
    assert all(map(math.isnan, judge([1, 2], [1, 1], [0, 0])))


def test_means_leave_out_such_queries_and_groups_are_drawn_whole():
    nan = float("nan")
    figures = Retrieved(np.array([1.0, 0, nan, 1]), np.array([1.0, 0.5, nan, 0.9]))
    found = mean_intervals(figures, np.array([0, 0, 1, 1]))
    assert found["hit_10"].value == pytest.approx(2 / 3)
    assert found["auc"].value == pytest.approx(0.8)
    assert found["auc"].low == pytest.approx(0.75)  # group 0 twice
    assert found["auc"].high == pytest.approx(0.9)  # the last query twice
    one_group = mean_intervals(figures, np.zeros(4))
    assert one_group["auc"].low == one_group["auc"].high == pytest.approx(0.8)


def test_a_difference_that_is_the_same_everywhere_has_an_interval_without_width():
    a = np.array([0.9, 0.7, 0.8])
    off = difference_interval(a, a - 0.25, np.arange(3))
    assert off == pytest.approx((0.25, 0.25, 0.25))


def test_without_any_query_that_has_kin_there_is_no_difference_and_no_crash():
    nothing = np.full(3, np.nan)
    assert all(map(math.isnan, difference_interval(nothing, np.ones(3), np.arange(3))))
