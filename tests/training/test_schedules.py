"""The learning rate over the steps, against numbers worked out on paper."""

import math

import pytest

from lexome.training.schedules import warmup_cosine


def test_the_rate_climbs_evenly_to_its_peak_and_never_starts_at_zero() -> None:
    assert [warmup_cosine(s, 100, 4, 0.1) for s in range(5)] == [0.25, 0.5, 0.75, 1.0, 1.0]


def test_the_rate_falls_by_a_cosine_to_the_final_share_and_stays_there() -> None:
    # A quarter, half and three quarters of the way: cos 45 = 0.7071, cos 90 = 0, cos 135 = -0.7071.
    found = [warmup_cosine(s, 108, 8, 0.2) for s in (8, 33, 58, 83, 108, 500)]
    quarter = 0.5 * (1 + math.sqrt(0.5))
    expected = [1.0, 0.2 + 0.8 * quarter, 0.6, 0.2 + 0.8 * (1 - quarter), 0.2, 0.2]
    assert found == pytest.approx(expected, abs=1e-12)


def test_without_a_warmup_the_first_step_has_the_peak_rate() -> None:
    assert warmup_cosine(0, 10, 0, 0.0) == 1.0


def test_a_warmup_longer_than_the_training_only_climbs() -> None:
    assert [warmup_cosine(s, 3, 10, 0.1) for s in range(3)] == pytest.approx([0.1, 0.2, 0.3])
