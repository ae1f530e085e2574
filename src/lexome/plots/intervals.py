"""Figures with their 95 % intervals, as dots and whiskers: the model beside its baseline."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from lexome.plots import style
from lexome.results.types import Estimate


class Row(NamedTuple):
    """One line of the picture: a metric, or a label."""

    name: str
    model: Estimate | None
    baseline: Estimate | None = None
    seeds: Sequence[float] = ()  # the same figure for each seed alone


def draw_intervals(rows: Sequence[Row], across: str = "", from_zero: bool = True) -> Figure:
    """One line a row: model in blue, baseline in grey below it, single seeds as small ticks.

    The axis spans 0 to 1, or further left where an interval goes below zero; `from_zero=False` lets
    it start at the first figure.
    """
    step = 34.0 if any(row.baseline for row in rows) else 25.0
    with style.look():
        figure = style.new_figure(style.WIDTH, 70 + step * len(rows))
        axes = figure.subplots()
        for height, row in enumerate(rows):
            shift = 0.17 if row.baseline else 0.0
            if row.baseline:
                _draw_estimate(axes, row.baseline, height + shift, style.BASELINE, 6.0)
            if row.model:
                _draw_estimate(axes, row.model, height - shift, style.BLUE, 8.0)
            at = [height - shift - 0.2] * len(row.seeds)
            axes.plot(row.seeds, at, ls="none", marker="|", ms=6, mew=1.3, color=style.SKY)
        axes.set_xlim(*_limits(rows, from_zero))
        axes.set_ylim(len(rows) - 0.4, -0.6)
        names = [style.short(row.name, 28) for row in rows]
        axes.set_yticks(range(len(rows)), names, color=style.INK)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6))
        if across:
            axes.set_xlabel(across)
        style.grid(axes, "x")
        style.legend(figure, _handles(rows))
        style.pad(figure)
    return figure


def _draw_estimate(axes: Axes, estimate: Estimate, height: float, colour: str, size: float) -> None:
    if np.isfinite(estimate.low) and np.isfinite(estimate.high):
        axes.plot([estimate.low, estimate.high], [height] * 2, color=colour, lw=2.2, alpha=0.7)
    style.dot(axes, estimate.value, height, colour, size)


def _limits(rows: Sequence[Row], from_zero: bool) -> tuple[float, float]:
    found = [
        value
        for row in rows
        for estimate in (row.model, row.baseline)
        if estimate
        for value in estimate
        if np.isfinite(value)
    ] + [value for row in rows for value in row.seeds]
    low, high = min(found, default=0.0), max(found, default=1.0)
    room = 0.02 * max(high - low, 0.05)
    if from_zero:
        return min(0.0, low - room), max(1.0, high)
    return low - 3 * room, high + 3 * room


def _handles(rows: Sequence[Row]) -> list[Line2D]:
    def handle(colour: str, size: float, name: str, marker: str = "o") -> Line2D:
        line = "none" if marker == "|" else "-"
        return Line2D([], [], color=colour, lw=2.2, ls=line, marker=marker, ms=size, label=name)

    handles = [handle(style.BLUE, 7.0, "model, 95 % interval")]
    if any(row.baseline for row in rows):
        handles.append(handle(style.BASELINE, 5.5, "baseline"))
    if any(row.seeds for row in rows):
        handles.append(handle(style.SKY, 7.0, "single seeds", "|"))
    return handles


def strip(model: Estimate, baseline: Estimate | None, low: float, high: float) -> str:
    """A word-sized picture for a card: model above baseline on one axis, as an `<svg>` element."""

    def place(value: float) -> float:
        return round(4 + 232 * (min(max(value, low), high) - low) / ((high - low) or 1.0), 2)

    paint = f"var({style.VARIABLES[style.RULE]},{style.RULE})"
    path = f"M4 28H236M4 24v8M236 24v8M{place((low + high) / 2)} 26v4"  # axis, ends, middle
    lines = [f'<path d="{path}" stroke="{paint}" fill="none"/>']
    drawn = ((baseline, 20, style.BASELINE, 3), (model, 8, style.BLUE, 4))
    for estimate, y, colour, radius in drawn:
        if estimate is None:
            continue
        paint = f"var({style.VARIABLES[colour]},{colour})"
        if np.isfinite(estimate.low) and np.isfinite(estimate.high):
            ends = f'x1="{place(estimate.low)}" x2="{place(estimate.high)}"'
            lines.append(f'<line {ends} y1="{y}" y2="{y}" stroke="{paint}" stroke-width="2"/>')
        at = f'cx="{place(estimate.value)}" cy="{y}" r="{radius}"'
        lines.append(f'<circle {at} fill="{paint}"/>')
    inner = "".join(lines)
    return f'<svg viewBox="0 0 240 34" aria-hidden="true" stroke-linecap="round">{inner}</svg>'
