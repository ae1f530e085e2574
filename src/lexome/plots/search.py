"""A search of hyper-parameters: the best figure so far, and the figure over each value tried."""

import math
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator
from numpy.typing import NDArray

from lexome.plots import style

MOST_ACROSS = 5  # panels of values in a row
LOGARITHMIC = 8.0  # values that span more than this are drawn so


def draw_search(table: pl.DataFrame, metric: str) -> Figure:
    """Trials in order with the best so far, then a panel for each value that was searched.

    `table` has the columns trial, value, state, best and setting_<name>.
    """
    names = [name for name in table.columns if name.startswith("setting_")]
    rows = math.ceil(len(names) / MOST_ACROSS)
    across = math.ceil(len(names) / rows)
    with style.look():
        figure = style.new_figure(style.WIDTH, 236 + 176 * rows)
        mosaic: Any = [["all"] * across]
        for first in range(0, rows * across, across):
            mosaic.append([*names[first : first + across], *["."] * across][:across])
        panels = figure.subplot_mosaic(mosaic, height_ratios=[1.15] + [1.0] * rows)
        _draw_course(panels["all"], table, metric)
        for number, name in enumerate(names):
            axes = panels[name]
            values = table[name].cast(pl.Float64).to_numpy()
            _draw_values(axes, table, values)
            axes.set_xlabel(name.removeprefix("setting_").replace("_", " "))
            if number % across:
                axes.set_yticklabels([])
            else:
                axes.set_ylabel(metric)
        style.legend(figure, _handles(table))
        style.pad(figure, 0.05)
    return figure


def _draw_course(axes: Axes, table: pl.DataFrame, metric: str) -> None:
    numbers, values = table["trial"].to_numpy() + 1, table["value"].to_numpy()
    complete = (table["state"] == "complete").to_numpy()
    best = np.maximum.accumulate(np.where(complete, values, -np.inf))
    axes.step(numbers, best, where="post", color=style.BLUE, lw=1.6, zorder=2)
    _dots(axes, numbers, table)
    axes.set(xlabel="trial", ylabel=f"{metric}, validation")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=10))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5))
    axes.set_xlim(0.5, len(numbers) + 0.5)
    style.grid(axes, "y")


def _draw_values(axes: Axes, table: pl.DataFrame, values: NDArray[np.float64]) -> None:
    _dots(axes, values, table)
    spans = float(values.max() / values.min()) if values.min() > 0 else 0.0
    whole = bool((values == np.round(values)).all())
    if spans >= LOGARITHMIC or (whole and spans > 2):
        axes.set_xscale("log")
        axes.xaxis.set_minor_locator(NullLocator())
        if whole:
            some = np.unique(values)
            axes.set_xticks(some, [f"{value:g}" for value in some])
        else:
            decades = math.log10(spans)
            axes.xaxis.set_major_locator(LogLocator(subs=(1,) if decades > 2 else (1, 3)))
            axes.xaxis.set_major_formatter(lambda value, place: f"{value:g}")
    elif whole:
        some = np.unique(values)
        axes.set_xticks(some, [f"{value:g}" for value in some])
    else:
        axes.xaxis.set_major_locator(MaxNLocator(nbins=4))
    axes.margins(x=0.12)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=4))
    style.grid(axes, "y")


def _dots(axes: Axes, x: NDArray[np.float64], table: pl.DataFrame) -> None:
    values = table["value"].to_numpy()
    is_best = table["best"].to_numpy()
    pruned = (table["state"] == "pruned").to_numpy()
    plain = ~pruned & ~is_best
    axes.plot(x[pruned], values[pruned], ls="none", marker="o", ms=4.5, mfc="none",
              mec=style.BASELINE, mew=1.1, zorder=3)  # fmt: skip
    if plain.any():
        style.dot(axes, x[plain], values[plain], style.SKY, 6)
    style.dot(axes, x[is_best], values[is_best], style.ORANGE, 9)


def _handles(table: pl.DataFrame) -> list[Line2D]:
    def handle(label: str, face: str, edge: str, size: float, line: str = "none") -> Line2D:
        found = Line2D([], [], ls=line, marker="o" if size else "", ms=size, label=label)
        found.set(markerfacecolor=face, markeredgecolor=edge, color=style.BLUE)
        return found

    handles = [
        handle("best", style.ORANGE, style.PAPER, 8),
        handle("other trials", style.SKY, style.PAPER, 6),
    ]
    if (table["state"] == "pruned").any():
        handles.append(handle("pruned", "none", style.BASELINE, 4.5))
    return [*handles, handle("best so far", "none", "none", 0, "-")]
