"""The atlas of a probe: layers down, poolings across, one panel a head, the best cell ringed."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from lexome.plots import style

CELL = 24.0  # pixels of a cell's height, where layers are few
TALLEST = 560.0  # pixels of all layers
SCALE_CELLS = 61
TITLES = {"linear": "linear", "knn": "nearest neighbours", "mlp": "small network"}
COLOURS = ["#f4f6f8", "#c3dcee", "#7fb4da", "#2f83be", "#0a4f86"]


def draw_atlas(atlas: pl.DataFrame, model: str, metric: str) -> Figure:
    """A heat map a head; below each what composition says, and the best of untrained weights.

    `atlas` has the columns model, layer, pooling, head, value and chosen. The scale ends at the
    best value; what is far below the middle of all is lightest alike.
    """
    own = atlas.filter(pl.col("model") == model)
    heads = own["head"].unique(maintain_order=True).to_list()
    heads.sort(key=lambda head: list(TITLES).index(head) if head in TITLES else len(TITLES))
    layers = sorted(own["layer"].unique().to_list())
    poolings = _in_order(own)
    others = [
        name for name in atlas["model"].unique(maintain_order=True).to_list() if name != model
    ]
    values = own["value"].to_numpy()
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    # A few cells that know nothing would take the colours from all others.
    middle = float(np.median(finite)) if len(finite) else 0.0
    low = max(low, high - 3 * (high - middle))
    norm = Normalize(low, high if high > low else low + 1e-6)
    colours = LinearSegmentedColormap.from_list("atlas", COLOURS)
    cell = min(CELL, TALLEST / len(layers))
    heights = [cell * len(layers), *[CELL] * len(others)]
    with style.look():
        figure = style.new_figure(style.WIDTH, 132 + sum(heights) + 14 * len(others))
        panels = figure.subplots(
            1 + len(heights), len(heads), squeeze=False, height_ratios=[30, *heights]
        )
        _draw_header(panels[0], metric, colours, norm)
        for column, head in enumerate(heads):
            mine = own.filter(pl.col("head") == head)
            axes = panels[1, column]
            _draw_panel(axes, mine, layers, poolings, colours, norm, cell)
            axes.set_title(TITLES.get(head, head))
            if column:
                axes.set_yticklabels([])
            else:
                axes.set_ylabel("layer")
            for row, name in enumerate(others):
                rows = atlas.filter(pl.col("model") == name, pl.col("head") == head)
                _draw_strip(panels[2 + row, column], rows, name, colours, norm, not column)
        style.pad(figure, 0.03)
    return figure


def _in_order(own: pl.DataFrame) -> list[str]:
    found: list[str] = own["pooling"].unique().to_list()
    first = ("mean", "max")
    return sorted(
        found, key=lambda name: (name.count("+"), name not in first, name != "mean", name)
    )


def _draw_panel(
    axes: Axes, mine: pl.DataFrame, layers: Sequence[int], poolings: Sequence[str],
    colours: Any, norm: Normalize, cell: float,
) -> None:  # fmt: skip
    grid = np.full((len(layers), len(poolings)), np.nan)
    ring = None
    for layer, pooling, value, chosen in mine.select("layer", "pooling", "value", "chosen").rows():
        row, column = layers.index(layer), poolings.index(pooling)
        grid[row, column] = value
        ring = (row, column) if chosen else ring
    _cells(axes, grid, colours, norm)
    for (row, column), value in np.ndenumerate(grid):
        if cell >= 11 and np.isfinite(value):
            is_best = ring == (row, column)
            _write(axes, column + 0.5, row + 0.5, value, norm, min(9.5, cell * 0.6), is_best)
    if ring is not None:
        y, x = ring
        box = Rectangle((x, y), 1, 1, fill=False, ec=style.ORANGE, lw=2.4, zorder=6, clip_on=False)
        axes.add_patch(box)
    axes.set_xticks(np.arange(len(poolings)) + 0.5, poolings, fontsize=10)
    step = 1 if cell >= 11 else 2 if cell >= 6 else 5
    shown = [i for i, layer in enumerate(layers) if layer % step == 0 or i == len(layers) - 1]
    axes.set_yticks([i + 0.5 for i in shown], [str(layers[i]) for i in shown])
    axes.set_ylim(0, len(layers))  # the first layer at the bottom, as one draws a network


def _draw_strip(
    axes: Axes, rows: pl.DataFrame, name: str, colours: Any, norm: Normalize, is_first: bool
) -> None:
    """One wide cell: the best that this one reaches under the head."""
    values = rows["value"].to_numpy()
    finite = values[np.isfinite(values)]
    value = float(finite.max()) if len(finite) else np.nan
    _cells(axes, np.array([[value]]), colours, norm)
    if np.isfinite(value):
        _write(axes, 0.5, 0.5, value, norm, 9.5, False)
    axes.set_xticks([])
    said = "random weights,\nbest cell" if name == "untrained" else name
    axes.set_yticks([0.5], [said if is_first else ""])


def _cells(axes: Axes, grid: NDArray[Any], colours: Any, norm: Normalize) -> None:
    x, y = np.arange(grid.shape[1] + 1), np.arange(grid.shape[0] + 1)
    drawn = np.ma.masked_invalid(grid)
    axes.pcolormesh(x, y, drawn, cmap=colours, norm=norm, edgecolors=style.PAPER, linewidth=1.2)
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)


def _write(
    axes: Axes, x: float, y: float, value: float, norm: Normalize, size: float, is_best: bool
) -> None:
    ink = style.PAPER if norm(value) > 0.55 else style.INK
    weight = "bold" if is_best else "normal"
    text = f"{value:.3f}".replace("-", "−")
    text = text[1:] if text.startswith("0.") else text
    axes.text(x, y, text, ha="center", va="center", fontsize=size, color=ink, weight=weight)


def _draw_header(panels: NDArray[Any], metric: str, colours: Any, norm: Normalize) -> None:
    """The scale, and what the ring is."""
    for axes in panels:
        axes.set_axis_off()
    # Not a colour bar: that would be an image inside the picture, which a page does not show.
    scale = panels[-1].inset_axes((0.2, 0.25, 0.8, 0.34))
    edges = np.linspace(norm.vmin or 0.0, norm.vmax or 1.0, SCALE_CELLS + 1)
    middle = (edges[1:] + edges[:-1])[None] / 2
    scale.pcolormesh(
        edges, [0, 1], middle, cmap=colours, norm=norm, edgecolors="face", linewidth=0.2
    )
    scale.set_yticks([])
    scale.tick_params(labelsize=9, pad=2)
    for side in ("left", "bottom"):
        scale.spines[side].set_visible(False)
    panels[-1].text(0.2, 0.75, metric, va="bottom", fontsize=style.SMALL, color=style.QUIET)
    box = Rectangle((0, 0.28), 0.08, 0.4, fill=False, ec=style.ORANGE, lw=2.4)
    panels[0].add_patch(box)
    panels[0].text(0.11, 0.48, "best cell", va="center", color=style.QUIET, fontsize=style.SMALL)
