"""Ranks over tasks: the worked example of Demsar 2006, section 3.2.2, and SciPy."""

import math

import numpy as np
import pytest
import scipy.stats

from lexome.errors import InputError
from lexome.evaluation.multiplicity import holm
from lexome.evaluation.ranks import compare_ranks, find_cliques, rank_methods

METHODS = ["C4.5", "C4.5+m", "C4.5+cf", "C4.5+m+cf"]
# The ranks of the example's table of AUC values on 14 data sets.
RANKS = [
    [4, 3, 2, 1],
    [1, 2, 3, 4],
    [4, 1, 2, 3],
    [4, 1, 3, 2],
    [4, 2, 3, 1],
    [1, 2.5, 4, 2.5],
    [3, 2, 4, 1],
    [2.5, 2.5, 4, 1],
    [4, 3, 2, 1],
    [2.5, 2.5, 2.5, 2.5],
    [4, 2.5, 1, 2.5],
    [3, 2, 4, 1],
    [4, 1, 2, 3],
    [3, 1, 4, 2],
]


def demsar(**settings):
    return compare_ranks(RANKS, METHODS, higher_is_better=False, **settings)


def test_the_worked_example_of_demsar():
    found = demsar(correct_ties=False)

    assert found.methods == ["C4.5+m+cf", "C4.5+m", "C4.5+cf", "C4.5"]
    assert [round(rank, 3) for rank in found.average_ranks] == [1.964, 2.0, 2.893, 3.143]
    assert round(found.test.chi_squared, 2) == 9.28
    assert round(found.test.f, 2) == 3.69
    assert found.test.p < 0.05  # the critical value of F(3, 39) is 2.85
    assert round(found.test.critical_difference, 2) == 1.25
    assert found.cliques == [found.methods]  # no two lie 1.25 apart: 3.143 - 1.964 is 1.18


def test_at_a_tenth_two_groups_are_found_as_published():
    """With alpha 0.10 the difference is 1.12, and C4.5 falls out of the group of the best."""
    found = demsar(correct_ties=False, alpha=0.10)

    assert round(found.test.critical_difference, 2) == 1.12
    assert found.cliques == [["C4.5+m+cf", "C4.5+m", "C4.5+cf"], ["C4.5+cf", "C4.5"]]


def test_with_ties_corrected_it_is_the_statistic_of_scipy():
    found = demsar()
    scipy_test = scipy.stats.friedmanchisquare(*np.transpose(RANKS))

    assert found.test.chi_squared == pytest.approx(scipy_test.statistic)
    assert found.test.chi_squared_p == pytest.approx(scipy_test.pvalue)


def test_iman_and_davenport_by_their_formula():
    rng = np.random.default_rng(0)
    figures = rng.normal(size=(9, 5)) + np.arange(5) * 0.6
    found = compare_ranks(figures, list("abcde"))
    chi = scipy.stats.friedmanchisquare(*figures.T).statistic

    assert found.test.f == pytest.approx(8 * chi / (9 * 4 - chi))
    assert found.test.p == pytest.approx(scipy.stats.f.sf(found.test.f, 4, 32))


def test_methods_in_the_same_order_in_every_task_differ_beyond_doubt():
    found = compare_ranks([[0.9, 0.5, 0.1]] * 8, ["a", "b", "c"])

    assert found.average_ranks == [1.0, 2.0, 3.0]
    assert found.test.f == math.inf
    assert found.test.p == 0.0
    assert found.cliques == [["a", "b"], ["b", "c"]]  # 1.17 apart is needed


def test_one_clique_where_friedmans_test_shows_nothing():
    figures = np.random.default_rng(3).normal(size=(5, 4))
    found = compare_ranks(figures, list("abcd"))

    assert found.test.p > 0.05
    assert found.cliques == [found.methods]
    assert "no difference" in found.reason


@pytest.mark.parametrize(
    ("figures", "reason"),
    [
        ([[0.9, 0.8], [0.7, 0.9]], "2 methods"),
        ([[0.9, 0.8, 0.7]], "one task"),
        ([[0.5, 0.5, 0.5], [1, 1, 1]], "same figure"),
    ],
)
def test_what_cannot_be_tested_is_said_not_invented(figures, reason):
    found = compare_ranks(figures, list("abc")[: len(figures[0])])

    assert found.test is None
    assert reason in found.reason
    assert found.cliques == []


def test_ties_share_ranks_and_each_task_has_its_own_direction():
    ranks = rank_methods([[0.9, 0.9, 0.1], [3.0, 2.0, 1.0]], list("abc"), [True, False])

    assert ranks.tolist() == [[1.5, 1.5, 3.0], [3.0, 2.0, 1.0]]


def test_a_missing_figure_is_refused_by_name():
    with pytest.raises(InputError, match="'b' in task 2"):
        rank_methods([[1, 2, 3], [1, math.nan, 3]], list("abc"))
    with pytest.raises(InputError, match="one column a method"):
        rank_methods([[1, 2, 3]], list("ab"))


def test_cliques_are_as_large_as_they_can_be_and_never_one_alone():
    assert find_cliques([1, 1.5, 2, 4, 4.2], 1.2) == [range(0, 3), range(3, 5)]
    assert find_cliques([1, 3, 5], 1.0) == []
    assert find_cliques([1, 2], 1.0) == []  # exactly that far apart differs


def test_holm_by_hand_and_undefined_ones_count_for_none():
    """0.01 x 3, 0.02 x 2, 0.3 x 1; never falling."""
    found = holm([0.3, math.nan, 0.01, 0.02])

    assert found[[0, 2, 3]].tolist() == [0.3, 0.03, 0.04]
    assert math.isnan(found[1])
    assert holm([0.6, 0.5]).tolist() == [1.0, 1.0]
