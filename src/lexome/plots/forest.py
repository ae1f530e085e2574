"""Differences with their intervals around a line of no difference: who is better than whom."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from lexome.plots import style
from lexome.results.types import Estimate

COLOURS = {"better": style.BLUE, "worse": style.ORANGE, "tie": style.BASELINE}


class Contrast(NamedTuple):
    """One line: what is compared, by how much it differs, and what follows."""

    name: str
    difference: Estimate
    verdict: str  # better, worse, tie or undefined


def draw_forest(panels: Sequence[tuple[str, Sequence[Contrast]]], reference: str) -> Figure:
    """A panel a metric, a line a method; 0 is the method that all are compared with.

    `panels` are titles with the same methods each, in the same order.
    """
    names = [contrast.name for contrast in panels[0][1]]
    with style.look():
        figure = style.new_figure(style.WIDTH, 110 + 30 * len(names))
        row = figure.subplots(1, len(panels), squeeze=False)[0]
        for number, (axes, (title, contrasts)) in enumerate(zip(row, panels, strict=True)):
            _draw_panel(axes, title, contrasts)
            shown = [style.short(name, 24) for name in names] if number == 0 else []
            axes.set_yticks(range(len(shown)), shown, color=style.INK)
        figure.supxlabel(
            f"difference to {style.short(reference, 40)}, 95 % interval",
            fontsize=style.SMALL,
            color=style.QUIET,
        )
        style.legend(figure, _handles({c.verdict for _, found in panels for c in found}))
        style.pad(figure, 0.04)
    return figure


def _draw_panel(axes: Axes, title: str, contrasts: Sequence[Contrast]) -> None:
    axes.axvline(0, color=style.QUIET, lw=1.2, zorder=1)
    for height, (_, difference, verdict) in enumerate(contrasts):
        colour = COLOURS.get(verdict, style.BASELINE)
        if np.isfinite(difference.low) and np.isfinite(difference.high):
            ends = [difference.low, difference.high]
            axes.plot(ends, [height] * 2, color=colour, lw=2.4, alpha=0.75)
        if np.isfinite(difference.value):
            style.dot(axes, difference.value, height, colour, 8.0)
    found = [v for c in contrasts for v in c.difference if np.isfinite(v)]
    reach = 1.12 * max((abs(v) for v in found), default=1.0) or 1.0
    axes.set_xlim(-reach, reach)
    axes.set_ylim(len(contrasts) - 0.4, -0.6)
    axes.set_title(title)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=4, symmetric=True))
    axes.set_yticks([])
    style.grid(axes, "x")


def _handles(verdicts: set[str]) -> list[Line2D]:
    return [
        Line2D([], [], color=colour, lw=2.4, marker="o", ms=7, label=verdict)
        for verdict, colour in COLOURS.items()
        if verdict in verdicts
    ]
