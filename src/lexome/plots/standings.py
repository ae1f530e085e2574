"""Several models on several tasks: a dot with its interval each, published figures as ticks."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from lexome.plots import style
from lexome.results.types import Estimate

COLOURS = (style.BLUE, style.ORANGE, style.GREEN, style.PINK, style.AMBER, style.SKY)
MARKS = ("|", "x", "+", "1", "2", "3")
ALL_PUBLISHED = "published"  # one mark for all, where there are more than marks that can be told


class TaskRow(NamedTuple):
    """One task: what was measured here, and what was published."""

    name: str
    measured: Mapping[str, Estimate]
    published: Mapping[str, float]


def draw_standings(rows: Sequence[TaskRow], across: str, baseline: str | None = None) -> Figure:
    """A band a task, in it a line a model; the baseline is grey, published figures are ticks.

    Args:
        rows: tasks, each with the models that it has.
        across: what the axis shows, with its unit.
        baseline: the model that is drawn in grey.
    """
    models = list(dict.fromkeys(name for row in rows for name in row.measured))
    others = [name for name in models if name != baseline]
    colours = {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(others)}
    if baseline is not None:
        colours[baseline] = style.BASELINE
    said = list(dict.fromkeys(name for row in rows for name in row.published))
    told = len(said) <= len(MARKS)
    marks = dict(zip(said, MARKS, strict=False)) if told else dict.fromkeys(said, MARKS[0])
    band = max(len(models), 2)
    with style.look():
        figure = style.new_figure(style.WIDTH, 90 + (15.0 * band + 12) * len(rows))
        axes = figure.subplots()
        for number, row in enumerate(rows):
            for place, (name, found) in enumerate(row.measured.items()):
                height = number + (place + 0.5) / len(row.measured) * 0.72 - 0.36
                axes.plot(
                    [found.low, found.high], [height] * 2, color=colours[name], lw=2, alpha=0.7
                )
                style.dot(axes, found.value, height, colours[name], 6.0)
            for name, value in row.published.items():
                at = [number - 0.36, number + 0.36]
                if marks[name] == "|":
                    axes.plot([value] * 2, at, color=style.INK, lw=1.2)
                else:
                    axes.plot(value, number, ls="none", marker=marks[name], color=style.INK, ms=7)
        axes.set_ylim(len(rows) - 0.45, -0.55)
        axes.set_yticks(range(len(rows)), [style.short(r.name, 26) for r in rows], color=style.INK)
        for number in range(1, len(rows)):
            axes.axhline(number - 0.5, color=style.RULE, lw=0.8)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=7))
        axes.set_xlabel(across)
        style.grid(axes, "x")
        shown = marks if told else {ALL_PUBLISHED: MARKS[0]}
        style.legend(figure, _handles(colours, shown), columns=3)
        style.pad(figure)
    return figure


def _handles(colours: Mapping[str, str], marks: Mapping[str, str]) -> list[Line2D]:
    dots = [
        Line2D([], [], color=colour, lw=2, marker="o", ms=6, label=style.short(name, 30))
        for name, colour in colours.items()
    ]
    ticks = [
        Line2D([], [], color=style.INK, ls="none", marker=mark, ms=9, label=style.short(name, 30))
        for name, mark in marks.items()
    ]
    return [*dots, *ticks]
