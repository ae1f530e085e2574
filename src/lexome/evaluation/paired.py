"""Is one model better than another on the same rows: a paired bootstrap over groups and seeds."""

# Letters: R resamples, N rows, S seeds.
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from lexome.errors import InputError
from lexome.evaluation.decisions import Floats
from lexome.evaluation.grouped import grouped_metrics
from lexome.evaluation.metrics import METRICS, Task, measure
from lexome.evaluation.uncertainty import NUM_RESAMPLES, draw_weights, interval
from lexome.evaluation.weighted import weighted_metrics
from lexome.seeds import numpy_generator

Verdict = Literal["better", "worse", "tie", "undefined"]


class Side(NamedTuple):
    """A method: the answers of each of its seeds to the same rows."""

    predictions: Sequence[ArrayLike]
    thresholds: Sequence[ArrayLike] | None = None  # one a seed; 0.5 where not given


class Difference(NamedTuple):
    """The figure of the first method less that of the second."""

    difference: float
    low: float
    high: float
    p: float  # two-sided
    verdict: Verdict  # of the first method; a tie where the interval holds 0


def compare_paired(
    task: Task,
    truth: ArrayLike,
    first: Side,
    second: Side,
    groups: ArrayLike | None = None,
    seed: int = 0,
    num_resamples: int = NUM_RESAMPLES,
    by_group: bool = False,
) -> dict[str, Difference]:
    """The difference of every metric of the task between two methods, with its 95 % interval.

    A method's figure is the mean over its seeds. Each resample draws groups with all their rows,
    the same for both methods, and of a method's S seeds S - 1 with replacement: that many give the
    variance of a mean of S without bias (Rao and Wu 1988, JASA 83:231), so the interval holds both
    which sequences were tested and which seeds were trained. Three seeds tell little of their own
    spread, and few groups little of theirs; intervals are then still somewhat too narrow.

    The p value is twice the smaller share of differences at or beyond 0, the point itself counted
    as one of them, so that 1,000 resamples end at 0.002. A resample in which a metric is undefined
    is left out; where that befalls more than half, or the point, the verdict is "undefined".

    Args:
        task: binary, multiclass, multilabel or regression.
        truth: of each row.
        first, second: what is compared.
        groups: (N,) rows that are drawn together; without it each row is its own.
        seed: of the draws.
        num_resamples: how many.
        by_group: sum groups up before they are drawn, for groups of many rows (residues).

    >>> found = compare_paired("binary", [0, 1], Side([[0.2, 0.9]]), Side([[0.4, 0.6]]))
    >>> found["accuracy"]
    Difference(difference=0.0, low=0.0, high=0.0, p=1.0, verdict='tie')
    """
    kinds = {name: kind for name, kind in METRICS[task].items() if kind.better != "neither"}
    sides = [_pairs(side) for side in (first, second)]
    points = [[measure(task, truth, p, t).overall for p, t in side] for side in sides]
    num = len(np.asarray(truth))
    if by_group and groups is not None:
        group_N = np.unique(groups, return_inverse=True)[1].astype(np.int64)
        functions = [[grouped_metrics(task, truth, p, t, group_N) for p, t in s] for s in sides]
        num, groups = int(group_N.max()) + 1, None
    else:
        functions = [[weighted_metrics(task, truth, p, t) for p, t in side] for side in sides]
    generator = numpy_generator("paired seeds", seed)
    drawn: dict[str, list[Floats]] = {name: [] for name in kinds}
    for weights_RN in draw_weights(num, groups, seed, num_resamples):
        found = [[function(weights_RN)[0] for function in side] for side in functions]
        shares = [_draw_seeds(generator, len(weights_RN), len(side)) for side in sides]
        for name in kinds:
            ours, theirs = (
                (np.stack([one[name] for one in values], axis=1) * share_RS).sum(axis=1)
                for values, share_RS in zip(found, shares, strict=True)
            )
            drawn[name].append(ours - theirs)
    means = [{name: np.mean([one[name] for one in side]) for name in kinds} for side in points]
    return {
        name: judge_difference(
            float(means[0][name] - means[1][name]), np.concatenate(drawn[name]), kind.better
        )
        for name, kind in kinds.items()
    }


def judge_difference(
    difference: float, draws: ArrayLike, better: str = "higher", smallest: float = 1e-12
) -> Difference:
    """Interval, p and verdict of a difference from its resampled values.

    >>> judge_difference(0.2, [0.1, 0.2, 0.3], "lower").verdict
    'worse'
    """
    draws_R = np.asarray(draws, np.float64)
    draws_R = np.where(np.abs(draws_R) < smallest, 0.0, draws_R)  # what rounding leaves
    difference = 0.0 if abs(difference) < smallest else difference
    value, low, high = interval(difference, draws_R)
    if np.isnan(low):
        return Difference(value, low, high, float("nan"), "undefined")
    defined = draws_R[~np.isnan(draws_R)]
    beyond = min(int((defined <= 0).sum()), int((defined >= 0).sum()))
    p = min(1.0, 2 * (1 + beyond) / (1 + len(defined)))
    if low <= 0 <= high:
        return Difference(value, low, high, p, "tie")
    is_better = (low > 0) == (better == "higher")
    return Difference(value, low, high, p, "better" if is_better else "worse")


def _pairs(side: Side) -> list[tuple[ArrayLike, ArrayLike]]:
    if not len(side.predictions):
        raise InputError(
            "paired comparison", "a method without answers", "those of one seed", "training one"
        )
    limits = side.thresholds if side.thresholds is not None else [0.5] * len(side.predictions)
    return list(zip(side.predictions, limits, strict=True))


def _draw_seeds(generator: np.random.Generator, num: int, seeds: int) -> Floats:
    """(R, S): the share of each seed in a resample's mean."""
    if seeds == 1:
        return np.ones((num, 1))
    counts = generator.multinomial(seeds - 1, np.full(seeds, 1 / seeds), num)
    return counts / (seeds - 1)
