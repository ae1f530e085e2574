"""Several methods over several tasks: average ranks, Friedman's test, and who differs from whom.

Source: Demsar 2006, Journal of Machine Learning Research 7:1, whose worked example is a test here.
"""

# Letters: T tasks, M methods.
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy.stats
from numpy.typing import ArrayLike

from lexome.errors import InputError
from lexome.evaluation.decisions import Floats

ALPHA = 0.05


class RankTest(NamedTuple):
    """Friedman's test over tasks, and the difference of average ranks that counts."""

    chi_squared: float  # Friedman 1937
    chi_squared_p: float
    f: float  # by Iman and Davenport 1980, which is less conservative
    p: float  # of it
    critical_difference: float  # Nemenyi 1963


class Ranks(NamedTuple):
    """Methods by average rank, the best (lowest) first."""

    methods: list[str]
    average_ranks: list[float]
    num_tasks: int
    test: RankTest | None  # None: could not be computed
    reason: str  # why not; else what the cliques mean
    cliques: list[list[str]]  # methods that are not shown to differ; each as large as can be


def compare_ranks(
    figures: ArrayLike,
    methods: Sequence[str],
    higher_is_better: bool | Sequence[bool] = True,
    alpha: float = ALPHA,
    correct_ties: bool = True,
) -> Ranks:
    """Rank methods within every task, and tell by Friedman's and Nemenyi's tests which differ.

    Methods differ where their average ranks lie the critical difference apart, and only where
    Friedman's test (by Iman and Davenport) says that any do; otherwise all make one clique. With
    fewer than two tasks or three methods nothing is tested, and there are no cliques.

    Args:
        figures: (T, M) one figure a task and method.
        methods: M names.
        higher_is_better: for all tasks, or one a task.
        alpha: level of both tests.
        correct_ties: Friedman's statistic as SciPy has it; False gives Demsar's formula, which
            takes ties for ranks like any others and is a little smaller then.

    Raises:
        InputError: a figure is missing, or there are not as many names as columns.
    """
    rank_TM = rank_methods(figures, methods, higher_is_better)
    average_M = rank_TM.mean(axis=0)
    order = np.argsort(average_M, kind="stable")
    names = [methods[m] for m in order]
    ranks = [float(average_M[m]) for m in order]
    num_tasks, count = rank_TM.shape
    reason = _why_not(rank_TM)
    if reason:
        return Ranks(names, ranks, num_tasks, None, reason, [])
    statistic = _friedman(rank_TM, correct_ties)
    freedom = count - 1
    below = num_tasks * freedom - statistic
    f = (num_tasks - 1) * statistic / below if below > 1e-9 else float("inf")
    test = RankTest(
        statistic,
        float(scipy.stats.chi2.sf(statistic, freedom)),
        f,
        float(scipy.stats.f.sf(f, freedom, freedom * (num_tasks - 1))),
        critical_difference(count, num_tasks, alpha),
    )
    if test.p >= alpha:
        reason = f"Friedman's test shows no difference at all (p = {test.p:.3g})"
        return Ranks(names, ranks, num_tasks, test, reason, [names])
    reason = f"average ranks differ where they lie {test.critical_difference:.2f} apart"
    cliques = [[names[m] for m in clique] for clique in find_cliques(ranks, test[-1])]
    return Ranks(names, ranks, num_tasks, test, reason, cliques)


def rank_methods(
    figures: ArrayLike, methods: Sequence[str], higher_is_better: bool | Sequence[bool] = True
) -> Floats:
    """The rank of each method in each task, (T, M), 1 for the best; equal figures share theirs.

    >>> rank_methods([[0.9, 0.8, 0.8]], ["a", "b", "c"]).tolist()
    [[1.0, 2.5, 2.5]]
    """
    where, figure_TM = "ranks of methods", np.asarray(figures, np.float64)
    if figure_TM.ndim != 2 or figure_TM.shape[1] != len(methods) or not figure_TM.size:
        raise InputError(
            where,
            f"figures of shape {figure_TM.shape} of {len(methods)} methods",
            "one row a task and one column a method",
            "checking the table",
        )
    if not np.isfinite(figure_TM).all():
        task, method = np.argwhere(~np.isfinite(figure_TM))[0]
        raise InputError(
            where,
            f"no figure of {methods[method]!r} in task {task + 1}",
            "every method in every task",
            "leaving that task or that method out",
        )
    sign_T = np.where(np.broadcast_to(np.asarray(higher_is_better), len(figure_TM)), -1.0, 1.0)
    ranks: Floats = scipy.stats.rankdata(sign_T[:, None] * figure_TM, axis=1)
    return ranks


def critical_difference(num_methods: int, num_tasks: int, alpha: float = ALPHA) -> float:
    """Nemenyi's: average ranks this far apart differ (the studentised range over sqrt 2).

    >>> round(critical_difference(4, 14), 2)
    1.25
    """
    q = scipy.stats.studentized_range.ppf(1 - alpha, num_methods, np.inf) / np.sqrt(2)
    return float(q * np.sqrt(num_methods * (num_methods + 1) / (6 * num_tasks)))


def find_cliques(sorted_ranks: Sequence[float], difference: float) -> list[range]:
    """The longest runs of two or more sorted ranks whose ends lie less than `difference` apart.

    >>> find_cliques([1.0, 1.8, 2.6, 5.0], 1.0)
    [range(0, 2), range(1, 3)]
    """
    found: list[range] = []
    ranks_M = np.asarray(sorted_ranks)
    for start, rank in enumerate(sorted_ranks):
        end = int(np.searchsorted(ranks_M, rank + difference, side="left"))
        if end - start > 1 and (not found or end > found[-1].stop):
            found.append(range(start, end))
    return found


def _why_not(rank_TM: Floats) -> str:
    """Why nothing can be tested; empty where it can."""
    num_tasks, count = rank_TM.shape
    if count < 3:
        return f"{count} methods: Friedman's test needs three (two are compared row by row)"
    if num_tasks < 2:
        return "one task: Friedman's test needs two, and is worth little below five"
    if (np.ptp(rank_TM, axis=1) == 0).all():
        return "all methods have the same figure in every task"
    return ""


def _friedman(rank_TM: Floats, correct_ties: bool) -> float:
    """Friedman's chi-squared; SciPy's divides by what ties take from the ranks' spread."""
    num_tasks, count = rank_TM.shape
    mean_M = rank_TM.mean(axis=0)
    expected = count * (count + 1) ** 2 / 4
    statistic = 12 * num_tasks / (count * (count + 1)) * (np.square(mean_M).sum() - expected)
    if correct_ties:
        spread = np.square(rank_TM - (count + 1) / 2).sum()
        statistic *= num_tasks * count * (count**2 - 1) / 12 / spread
    return float(statistic)
