"""ROC and precision-recall curves, computed and drawn side by side."""

# Letters: S scored sequences, P points of a curve.
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from lexome.plots import style

Floats = NDArray[np.float64]
MOST_POINTS = 600  # of a drawn curve; more are not seen and only make the page heavy
MOST_COLOURS = 6


class Curve(NamedTuple):
    """Points of a curve, from the strictest threshold to the laxest."""

    x: Floats  # (P,)
    y: Floats  # (P,)
    threshold: Floats  # (P,) everything scored at least this is called positive


class Scored(NamedTuple):
    """Scores of one model (or of one label) and which of the rows are truly positive."""

    name: str
    truth: NDArray[np.bool_]  # (S,)
    score: Floats  # (S,)


class _Counts(NamedTuple):
    hits: Floats  # (P,) true positives at each threshold
    called: Floats  # (P,) everything called positive
    threshold: Floats  # (P,)


def roc(truth: ArrayLike, score: ArrayLike) -> Curve:
    """False positive rate against true positive rate, with equal scores taken as one step.

    Raises ValueError when one of the two classes is absent: the curve does not exist then.

    >>> curve = roc([False, True, False, True], [0.1, 0.8, 0.3, 0.3])
    >>> [float(rate) for rate in curve.x], [float(rate) for rate in curve.y]
    ([0.0, 0.0, 0.5, 1.0], [0.0, 0.5, 1.0, 1.0])
    """
    is_positive, counts = _count(truth, score)
    positives = int(is_positive.sum())
    false = counts.called - counts.hits
    return Curve(
        false / (is_positive.size - positives),
        counts.hits / positives,
        counts.threshold,
    )


def precision_recall(truth: ArrayLike, score: ArrayLike) -> Curve:
    """Recall against precision; starts at recall 0 with the precision of the first step.

    >>> curve = precision_recall([False, True, False, True], [0.1, 0.8, 0.3, 0.3])
    >>> [round(float(p), 2) for p in curve.x], [round(float(p), 2) for p in curve.y]
    ([0.0, 0.5, 1.0, 1.0], [1.0, 1.0, 0.67, 0.5])
    """
    is_positive, counts = _count(truth, score)
    precision = counts.hits[1:] / counts.called[1:]
    return Curve(
        counts.hits / int(is_positive.sum()),
        np.concatenate([precision[:1], precision]),
        counts.threshold,
    )


def _count(truth: ArrayLike, score: ArrayLike) -> tuple[NDArray[np.bool_], _Counts]:
    is_positive = np.asarray(truth, bool)
    values = np.asarray(score, np.float64)
    if is_positive.all() or not is_positive.any():
        raise ValueError("a curve needs both classes, got one")
    order = np.argsort(-values, kind="stable")
    falling = values[order]
    last = np.append(np.flatnonzero(np.diff(falling)), falling.size - 1)  # of each run of ties
    hits = np.cumsum(is_positive[order])[last]
    return is_positive, _Counts(
        np.append(0.0, hits), np.append(0.0, last + 1.0), np.append(np.inf, falling[last])
    )


def has_both_classes(truth: ArrayLike) -> bool:
    """Whether a curve exists at all."""
    values = np.asarray(truth, bool)
    return bool(values.any() and not values.all())


def draw_curves(
    scored: Sequence[Scored],
    baseline: Scored | None = None,
    threshold: float | None = None,
) -> Figure:
    """ROC (left) and precision-recall (right) of one model, or of one model label by label.

    With one entry in `scored` it is drawn beside the baseline, with the prevalence and, given a
    threshold, the point at which the model works. Up to six entries get a colour each; more become
    thin lines with their mean.
    """
    with style.look():
        figure = style.new_figure(style.WIDTH, 404)  # makes the panels square
        left, right = figure.subplots(1, 2)
        _frame(left, "ROC", "false positive rate", "true positive rate")
        _frame(right, "Precision and recall", "recall", "precision")
        left.plot([0, 1], [0, 1], color=style.BASELINE, lw=1, ls=(0, (2, 3)), label="guessing")
        prevalence = float(np.mean([entry.truth.mean() for entry in scored]))
        right.plot([0, 1], [prevalence] * 2, color=style.BASELINE, lw=1, ls=(0, (2, 3)))
        if baseline is not None:
            _draw_pair(left, right, baseline, color=style.BASELINE, lw=1.8)
        if len(scored) == 1:
            _draw_pair(left, right, scored[0], color=style.BLUE, lw=2.2)
            if threshold is not None:
                _mark_threshold(left, right, scored[0], threshold)
        elif len(scored) <= MOST_COLOURS:
            for entry, colour in zip(scored, style.SERIES, strict=False):
                _draw_pair(left, right, entry, color=colour, lw=1.8)
        else:
            _draw_many(left, right, scored)
        _name_prevalence(right, prevalence, len(scored) > 1)
        style.legend(figure)
        style.pad(figure)
    return figure


def _frame(axes: Axes, title: str, across: str, up: str) -> None:
    axes.set(title=title, xlabel=across, ylabel=up, xlim=(-0.01, 1.01), ylim=(-0.01, 1.02))
    ticks = [0, 0.25, 0.5, 0.75, 1]
    axes.set_xticks(ticks, ["0", "0.25", "0.5", "0.75", "1"])
    axes.set_yticks(ticks, ["0", "0.25", "0.5", "0.75", "1"])
    style.grid(axes)
    axes.spines["bottom"].set_visible(False)


def _draw_pair(left: Axes, right: Axes, entry: Scored, **line: object) -> None:
    name = style.short(entry.name)
    for axes, curve in (
        (left, roc(entry.truth, entry.score)),
        (right, precision_recall(entry.truth, entry.score)),
    ):
        kept = _thin(curve)
        axes.plot(curve.x[kept], curve.y[kept], label=name, **line)  # type: ignore[arg-type]


def _draw_many(left: Axes, right: Axes, scored: Sequence[Scored]) -> None:
    """Thin lines a label and their mean: the mean of y at each x."""
    at = np.linspace(0, 1, 201)
    for axes, curve_of in ((left, roc), (right, precision_recall)):
        heights = []
        for entry in scored:
            curve = curve_of(entry.truth, entry.score)
            kept = _thin(curve, 250)
            thin = axes.plot(curve.x[kept], curve.y[kept], color=style.BLUE, alpha=0.45, lw=1)
            thin[0].set_label("one label")
            heights.append(np.interp(at, curve.x, curve.y))
        mean = np.mean(heights, axis=0)
        axes.plot(at, mean, color=style.BLUE, lw=2.4, label="mean of the labels")


def _mark_threshold(left: Axes, right: Axes, entry: Scored, threshold: float) -> None:
    """A dot where the model works, named once on each panel."""
    for axes, curve in (
        (left, roc(entry.truth, entry.score)),
        (right, precision_recall(entry.truth, entry.score)),
    ):
        at = int(np.sum(curve.threshold >= threshold)) - 1
        style.dot(axes, curve.x[at], curve.y[at], style.BLUE, 7.5, f"threshold {threshold:.3g}")


def _name_prevalence(axes: Axes, prevalence: float, is_mean: bool) -> None:
    """Name the dashed line above itself, or below where a curve would run through the name."""
    name = f"{'mean ' if is_mean else ''}prevalence {prevalence:.2f}"
    low = prevalence < 0.5
    axes.text(
        0.01,
        prevalence + (0.015 if low else -0.02),
        name,
        va="bottom" if low else "top",
        color=style.QUIET,
        fontsize=style.SMALL - 0.5,
    )


def _thin(curve: Curve, most: int = MOST_POINTS) -> NDArray[np.intp]:
    """Which points to draw: all, or about `most`, spread evenly along the curve's length.

    Even along the length rather than along the index: the first steps of a precision-recall curve
    are long and few, its last ones short and thousands.
    """
    if curve.x.size <= most:
        return np.arange(curve.x.size)
    steps = np.abs(np.diff(curve.x)) + np.abs(np.diff(curve.y))
    along = np.append(0.0, np.cumsum(steps))
    at = np.searchsorted(along, np.linspace(0, along[-1], most))
    return np.unique(np.append(at, [0, curve.x.size - 1]).clip(0, curve.x.size - 1))
