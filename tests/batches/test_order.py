"""The shuffled order visits each number once, and follows from the seed alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexome.batches.order import draw_below, mix, shuffled


@given(st.integers(1, 3000), st.integers(0, 2**62), st.integers(0, 1000))
def test_every_number_stands_once_in_the_order(n, seed, epoch):
    assert sorted(shuffled(np.arange(n), n, seed, epoch).tolist()) == list(range(n))


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 15, 16, 17, 255, 256, 257, 1023, 1024, 1025])
def test_the_borders_of_the_network_are_permutations_too(n):
    assert sorted(shuffled(np.arange(n), n, "border").tolist()) == list(range(n))


@given(st.integers(1, 10**12), st.lists(st.integers(0, 10**12), min_size=1, max_size=20))
def test_a_position_has_its_number_whatever_is_asked_for_beside_it(n, positions):
    asked = np.array([p % n for p in positions])
    together = shuffled(asked, n, 3)
    assert together.tolist() == [
        int(shuffled(asked[i : i + 1], n, 3)[0]) for i in range(len(asked))
    ]
    assert ((together >= 0) & (together < n)).all()


def test_epochs_and_seeds_have_orders_of_their_own():
    n = 1000
    orders = [shuffled(np.arange(n), n, seed, epoch) for seed in (1, 2) for epoch in (0, 1)]
    for i, one in enumerate(orders):
        for other in orders[:i]:
            # a random order agrees with another in one place of n on average
            assert int((one == other).sum()) < 8


def test_the_order_looks_random():
    n = 20_000
    order = shuffled(np.arange(n), n, 0)
    # correlation with the position: standard deviation 1 / sqrt(n) = 0.007
    assert abs(np.corrcoef(order, np.arange(n))[0, 1]) < 0.03
    # neighbours: the mean distance of two random numbers below n is n / 3
    assert np.abs(np.diff(order)).mean() == pytest.approx(n / 3, rel=0.03)


def test_the_order_is_the_same_on_every_machine_and_in_every_version():
    assert shuffled(np.arange(10), 10, 1, 0).tolist() == [5, 3, 0, 1, 8, 4, 7, 6, 9, 2]
    drawn = draw_below(np.full(5, 1000), np.arange(5), "window", 1)
    assert drawn.tolist() == [509, 913, 658, 208, 121]


def test_the_mixing_step_is_that_of_splitmix64():
    # first outputs of splitmix64 with the seed 0 (Vigna, prng.di.unimi.it/splitmix64.c): the state
    # is advanced by the golden ratio, then mixed
    golden = 0x9E3779B97F4A7C15
    states = np.array([(golden * i) % 2**64 for i in (1, 2, 3)], np.uint64)
    expected = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    assert mix(states, np.uint64(0)).tolist() == expected


def test_draws_stay_below_their_limits_and_are_even():
    limits = np.array([1, 2, 7, 1000] * 5000)
    drawn = draw_below(limits, np.arange(len(limits)), "x")
    assert (drawn >= 0).all()
    assert (drawn < limits).all()
    for limit in (2, 7):
        counts = np.bincount(drawn[limits == limit], minlength=limit)
        assert np.abs(counts / 5000 - 1 / limit).max() < 0.03
