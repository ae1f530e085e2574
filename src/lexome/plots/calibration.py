"""Calibration: whether "70 % sure" comes true in 70 % of the cases, and how sure the model is."""

# Letters: S sequences, B bins that hold at least one sequence.
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from lexome.plots import style

Floats = NDArray[np.float64]
Z95 = 1.959963984540054  # the 97.5 % point of the normal distribution


class Reliability(NamedTuple):
    """What was said and what came true in each bin of probability."""

    said: Floats  # (B,) mean predicted probability
    seen: Floats  # (B,) fraction that was truly positive
    low: Floats  # (B,) 95 % interval of `seen`, after Wilson (1927)
    high: Floats  # (B,)
    rows: NDArray[np.int64]  # (B,)


def reliability(truth: ArrayLike, probability: ArrayLike, bins: int = 10) -> Reliability:
    """Group the rows by predicted probability into equally wide bins; empty bins are left out.

    >>> table = reliability([True, False, True, True], [0.1, 0.15, 0.9, 1.0], bins=2)
    >>> [float(said) for said in table.said], [float(seen) for seen in table.seen]
    ([0.125, 0.95], [0.5, 1.0])
    """
    values = np.asarray(probability, np.float64)
    is_true = np.asarray(truth, bool)
    which = np.minimum((values * bins).astype(np.int64), bins - 1)
    rows = np.bincount(which, minlength=bins)
    filled = rows > 0
    count = rows[filled]
    seen = np.bincount(which, weights=is_true, minlength=bins)[filled] / count
    said = np.bincount(which, weights=values, minlength=bins)[filled] / count
    return Reliability(said, seen, *wilson(seen, count), count)


def wilson(share: ArrayLike, rows: ArrayLike) -> tuple[Floats, Floats]:
    """The 95 % interval of a share of so many rows, after Wilson (1927).

    >>> low, high = wilson([0.5], [10])
    >>> low.round(3).tolist(), high.round(3).tolist()
    ([0.237], [0.763])
    """
    seen, count = np.asarray(share, np.float64), np.asarray(rows, np.float64)
    scale = 1 + Z95**2 / count
    middle = (seen + Z95**2 / (2 * count)) / scale
    half = Z95 / scale * np.sqrt(seen * (1 - seen) / count + Z95**2 / (4 * count**2))
    return (middle - half).clip(0, 1), (middle + half).clip(0, 1)


def draw_calibration(
    truth: ArrayLike,
    probability: ArrayLike,
    threshold: float | None = None,
    names: tuple[str, str] = ("positive", "negative"),
    across: str = "predicted probability",
    up: str = "",
    points: Reliability | None = None,
) -> Figure:
    """Reliability (left) and where the probabilities of the two classes lie (right).

    `names` are what True and False in `truth` are called; `across` and `up` name the axes; `points`
    are bins of another kind than the equally wide ones.
    """
    is_true = np.asarray(truth, bool)
    values = np.asarray(probability, np.float64)
    with style.look():
        figure = style.new_figure(style.WIDTH, 350)
        left, right = figure.subplots(1, 2)
        _draw_reliability(left, points or reliability(is_true, values), across)
        left.set_ylabel(up or f"fraction truly {style.short(names[0], 18)}")
        _draw_spread(right, is_true, values, names, across)
        if threshold is not None:
            right.axvline(threshold, color=style.QUIET, lw=1, ls=(0, (2, 3)))
            right.annotate(
                f"threshold {threshold:.3g}",
                (threshold, 1),
                xycoords=("data", "axes fraction"),
                xytext=(5 if threshold < 0.6 else -5, -2),
                textcoords="offset points",
                ha="left" if threshold < 0.6 else "right",
                va="top",
                color=style.QUIET,
            )
        style.legend(figure)
        style.pad(figure)
    return figure


def _draw_reliability(axes: Axes, table: Reliability, across: str) -> None:
    axes.plot([0, 1], [0, 1], color=style.BASELINE, lw=1, ls=(0, (2, 3)))
    axes.vlines(table.said, table.low, table.high, color=style.BLUE, lw=1.4, alpha=0.55)
    axes.plot(table.said, table.seen, color=style.BLUE, lw=1.2, alpha=0.55)
    style.dot(axes, table.said, table.seen, style.BLUE)
    axes.set(title="Said and seen", xlabel=across, xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    ticks, names = [0, 0.25, 0.5, 0.75, 1], ["0", "0.25", "0.5", "0.75", "1"]
    axes.set_xticks(ticks, names)
    axes.set_yticks(ticks, names)
    style.grid(axes)
    axes.spines["bottom"].set_visible(False)


def _draw_spread(
    axes: Axes, is_true: NDArray[np.bool_], values: Floats, names: tuple[str, str], across: str
) -> None:
    """Shares within each class: a rare class is seen beside a frequent one."""
    edges = np.linspace(0, 1, 21)
    for chosen, colour, name, alpha in (
        (~is_true, style.BASELINE, names[1], 0.45),
        (is_true, style.BLUE, names[0], 0.5),
    ):
        count = np.histogram(values[chosen], edges)[0]
        if count.sum():
            share = 100 * count / count.sum()
            label = f"{style.short(name)} ({int(count.sum()):,})"
            axes.stairs(share, edges, fill=True, color=colour, alpha=alpha, label=label, lw=0)
            axes.stairs(share, edges, color=colour, lw=1.4)
    axes.set(title="How the probabilities spread", xlabel=across, xlim=(-0.02, 1.02))
    axes.set_ylabel("% of the class")
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "0.25", "0.5", "0.75", "1"])
    style.grid(axes, "y")
