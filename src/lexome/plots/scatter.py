"""Regression: truth against prediction, as dots, or as a density where dots would hide dots."""

# Letters: S sequences.
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from lexome.plots import style

Floats = NDArray[np.float64]
MOST_DOTS = 900
CELLS = 44  # of the density, along each axis


def draw_scatter(truth: ArrayLike, prediction: ArrayLike, name: str) -> Figure:
    """Truth against prediction (left, the diagonal is perfect) and the errors (right)."""
    true = np.asarray(truth, np.float64)
    said = np.asarray(prediction, np.float64)
    with style.look():
        figure = style.new_figure(style.WIDTH, 376)
        left, right = figure.subplots(1, 2)
        low = float(min(true.min(), said.min()))
        high = float(max(true.max(), said.max()))
        room = 0.03 * ((high - low) or 1.0)
        low, high = low - room, high + room
        left.plot([low, high], [low, high], color=style.BASELINE, lw=1, ls=(0, (2, 3)))
        if true.size <= MOST_DOTS:
            left.scatter(true, said, s=13, color=style.BLUE, alpha=0.45, lw=0)
        else:
            _draw_density(left, true, said, low, high)
        left.set(xlim=(low, high), ylim=(low, high), title="Predicted against true")
        left.set_xlabel(f"true {style.short(name, 30)}")
        left.set_ylabel(f"predicted {style.short(name, 30)}")
        _draw_errors(right, said - true)
        for axes in (left, right):
            style.grid(axes)
            axes.spines["bottom"].set_visible(False)
        style.pad(figure)
    return figure


def _draw_density(axes: Axes, true: Floats, said: Floats, low: float, high: float) -> None:
    """Squares as deep as they are full; a square root keeps the lonely ones in sight."""
    edges = np.linspace(low, high, CELLS + 1)
    counts = np.histogram2d(true, said, bins=(edges, edges))[0]
    across, up = np.nonzero(counts)
    depth = np.sqrt(counts[across, up] / counts.max())
    side = edges[1] - edges[0]
    inset = 0.06 * side
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * (side - 2 * inset) + inset
    start = np.stack([edges[across], edges[up]], axis=1)
    squares = PolyCollection(list(start[:, None] + corners), facecolor=style.BLUE, lw=0)
    squares.set_alpha(list(0.12 + 0.88 * depth))
    axes.add_collection(squares)


def _draw_errors(axes: Axes, error: Floats) -> None:
    """A histogram of prediction minus truth, with zero marked."""
    reach = float(np.abs(error).max()) or 1.0
    count, edges = np.histogram(error, 31, range=(-reach, reach))
    axes.stairs(count, edges, fill=True, color=style.BLUE, alpha=0.5, lw=0)
    axes.stairs(count, edges, color=style.BLUE, lw=1.4)
    axes.axvline(0, color=style.QUIET, lw=1, ls=(0, (2, 3)))
    axes.set(title="Errors", xlabel="prediction minus truth", ylabel="sequences")
