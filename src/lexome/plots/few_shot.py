"""The learning curve of few labels: how well held-out mutants are ranked, by labels trained on."""

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, NullLocator

from lexome.plots import style

NAMES = {"augmented ridge": "residues and score", "one-hot ridge": "residues alone"}
COLOURS = {"augmented ridge": style.BLUE, "one-hot ridge": style.ORANGE}


def draw_few_shot(table: pl.DataFrame, score: str = "zero-shot score") -> Figure:
    """Spearman over labels, one line a way with the band of single splits; the score is level.

    `table` has the columns model, count, estimate, low and high; `score` is what the zero-shot
    score is called.
    """
    with style.look():
        figure = style.new_figure(style.WIDTH, 356)
        axes = figure.subplots()
        sizes = sorted(set(table["count"].to_list()))
        levels = table.filter(~pl.col("model").is_in(list(COLOURS)))
        if levels.height:
            level = float(np.mean(levels["estimate"].to_numpy()))
            name = f"{style.short(score, 40)} alone, no labels"
            axes.axhline(level, color=style.QUIET, lw=1.4, ls=(0, (3, 3)), label=name)
        for way, colour in COLOURS.items():
            rows = table.filter(pl.col("model") == way).sort("count")
            if rows.height:
                _draw_way(axes, rows, colour, NAMES[way])
        axes.set_xscale("log")
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
        axes.set_xlim(sizes[0] / 1.12, sizes[-1] * 1.12)
        axes.set(xlabel="labelled mutants trained on", ylabel="Spearman on held-out mutants")
        style.grid(axes, "y")
        style.legend(figure)
        style.pad(figure)
    return figure


def _draw_way(axes: Axes, rows: pl.DataFrame, colour: str, name: str) -> None:
    sizes = rows["count"].to_numpy()
    axes.fill_between(
        sizes, rows["low"].to_numpy(), rows["high"].to_numpy(), color=colour, alpha=0.15, lw=0
    )
    axes.plot(sizes, rows["estimate"].to_numpy(), color=colour, label=name)
    style.dot(axes, sizes, rows["estimate"].to_numpy(), colour)
