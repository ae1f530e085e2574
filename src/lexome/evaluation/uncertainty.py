"""95 % intervals of metrics: a percentile bootstrap over groups of rows, and means over seeds."""

# Letters: R resamples, N rows, G groups.
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike

from lexome.errors import InputError
from lexome.evaluation.decisions import Floats, Ints
from lexome.evaluation.grouped import grouped_metrics
from lexome.evaluation.metrics import Task, measure
from lexome.evaluation.weighted import Table, weighted_metrics
from lexome.results.types import Estimate, Estimates, Metrics
from lexome.seeds import numpy_generator

NUM_RESAMPLES = 1000
BLOCK = 2_000_000  # weights held at a time: 16 MB an array


def bootstrap(
    task: Task,
    truth: ArrayLike,
    prediction: ArrayLike,
    threshold: ArrayLike = 0.5,
    groups: ArrayLike | None = None,
    seed: int = 0,
    num_resamples: int = NUM_RESAMPLES,
) -> Estimates:
    """Every metric of `metrics.measure` with its 95 % percentile interval (Efron 1979).

    Each resample draws as many groups as there are, with replacement, and takes all their rows;
    without `groups` each row is its own. Sequences of one family are not independent, so pass
    the similarity groups: intervals over rows would be too narrow. A resample in which a metric
    is undefined (it drew one class only) is left out of that metric's interval; where that
    befalls more than half of them, or the value itself is undefined, the interval is NaN.

    >>> bootstrap("binary", [0, 1], [0.2, 0.9], num_resamples=20).overall["accuracy"]
    Estimate(value=1.0, low=1.0, high=1.0)
    """
    return mean_over_seeds(task, truth, [prediction], [threshold], groups, seed, num_resamples)


def mean_over_seeds(
    task: Task,
    truth: ArrayLike,
    predictions: Sequence[ArrayLike],
    thresholds: Sequence[ArrayLike] | None = None,
    groups: ArrayLike | None = None,
    seed: int = 0,
    num_resamples: int = NUM_RESAMPLES,
    by_group: bool = False,
) -> Estimates:
    """The mean of each metric over several trained seeds, with its 95 % interval.

    For each resample of the groups the metric is computed for every seed on the same rows and
    averaged over the seeds; the interval is that of these averages. It says how far the mean
    of *these* seeds depends on which test sequences were drawn. It does not widen with the
    spread between seeds, which three seeds cannot estimate: show the seeds' own values beside
    it. A metric that is undefined for one seed is undefined for the mean.

    With `by_group` groups are summed up before they are drawn, for groups of many rows such as the
    residues of a family: the same draws, and the ranking metrics as `grouped` has them.
    """
    if not predictions:
        raise InputError(
            "mean over seeds",
            "no predictions",
            "one set for each seed",
            "training at least one seed",
        )
    limits = [0.5] * len(predictions) if thresholds is None else list(thresholds)
    pairs = list(zip(predictions, limits, strict=True))
    point = _average([_as_table(measure(task, truth, p, t)) for p, t in pairs])
    if by_group:
        assert groups is not None
        group_N = _numbered(groups, len(np.asarray(truth)))
        functions = [grouped_metrics(task, truth, p, t, group_N) for p, t in pairs]
        weights = draw_weights(int(group_N.max()) + 1, None, seed, num_resamples)
    else:
        functions = [weighted_metrics(task, truth, p, t) for p, t in pairs]
        weights = draw_weights(len(np.asarray(truth)), groups, seed, num_resamples)
    draws = [_average([function(block) for function in functions]) for block in weights]
    overall = {
        name: interval(float(value[0]), np.concatenate([draw[0][name] for draw in draws]))
        for name, value in point[0].items()
    }
    per_label = [
        {
            name: interval(float(value[0]), np.concatenate([draw[1][k][name] for draw in draws]))
            for name, value in label.items()
        }
        for k, label in enumerate(point[1])
    ]
    return Estimates(overall, per_label)


def draw_weights(
    num_rows: int, groups: ArrayLike | None, seed: int, num_resamples: int
) -> Iterator[Floats]:
    """Blocks of resamples as weights (R, N): how often each row was drawn."""
    if groups is not None and np.ndim(groups) == 2:
        yield from _pair_weights(np.asarray(groups), num_rows, seed, num_resamples)
        return
    group_N = np.arange(num_rows) if groups is None else _numbered(groups, num_rows)
    yield from _draw_groups(group_N, num_rows, seed, num_resamples)


def _draw_groups(group_N: Ints, wide: int, seed: int, num_resamples: int) -> Iterator[Floats]:
    """Those weights, in blocks that `wide` columns a resample fill; the size changes no draw."""
    num_groups = int(group_N.max()) + 1
    generator = numpy_generator("bootstrap", seed)
    block = max(1, BLOCK // max(wide, num_groups))
    for start in range(0, num_resamples, block):
        size = min(block, num_resamples - start)
        drawn_RG = generator.integers(0, num_groups, (size, num_groups))
        drawn_RG += np.arange(size)[:, None] * num_groups
        counts = np.bincount(drawn_RG.ravel(), minlength=size * num_groups)
        yield counts.reshape(size, num_groups)[:, group_N].astype(np.float64)


def _pair_weights(
    groups_N2: Ints, num_rows: int, seed: int, num_resamples: int
) -> Iterator[Floats]:
    """The same of pairs, whose two groups are drawn once for all: the product of how often.

    One group may be in many pairs, so neither pairs nor groups joined through pairs can be drawn
    as if they were independent. Source: Owen 2007, "The pigeonhole bootstrap".
    """
    group_M = _numbered(groups_N2.reshape(-1), 2 * num_rows)
    members, place_M = np.unique(group_M, return_inverse=True)
    one_N, other_N = place_M.reshape(-1, 2).T
    each_M = np.arange(len(members))
    for weights_RG in _draw_groups(each_M, num_rows, seed, num_resamples):
        weights_RN = weights_RG[:, one_N] * weights_RG[:, other_N]
        within_N = one_N == other_N
        weights_RN[:, within_N] = weights_RG[:, one_N[within_N]]
        yield weights_RN[weights_RN.any(axis=1)]  # of few rows some draw none


def interval(value: float, draws_R: Floats) -> Estimate:
    """The value with the 2.5th and 97.5th percentile of its defined draws."""
    defined = draws_R[~np.isnan(draws_R)]
    if np.isnan(value) or not len(defined) or 2 * len(defined) < len(draws_R):
        return Estimate(value, float("nan"), float("nan"))
    low, high = np.percentile(defined, [2.5, 97.5])
    return Estimate(value, float(low), float(high))


def _numbered(groups: ArrayLike, num_rows: int) -> Ints:
    labels = np.asarray(groups)
    if labels.shape != (num_rows,):
        raise InputError(
            "bootstrap groups",
            f"{labels.shape} group labels",
            f"one for each of the {num_rows} rows",
            "passing the groups of the rows that are judged, not of the whole table",
        )
    return np.unique(labels, return_inverse=True)[1].astype(np.int64)


def _as_table(metrics: Metrics) -> Table:
    def lifted(values: dict[str, float]) -> dict[str, Floats]:
        return {name: np.array([value]) for name, value in values.items()}

    return lifted(metrics.overall), [lifted(label) for label in metrics.per_label]


def _average(tables: Sequence[Table]) -> Table:
    """Mean of each metric over the tables of several seeds."""
    overall = {name: np.mean([t[0][name] for t in tables], axis=0) for name in tables[0][0]}
    per_label = [
        {name: np.mean([t[1][k][name] for t in tables], axis=0) for name in label}
        for k, label in enumerate(tables[0][1])
    ]
    return overall, per_label
