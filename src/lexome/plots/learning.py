"""Learning curves: loss and validation metrics over the epochs, one colour a seed."""

from collections.abc import Sequence

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from lexome.plots import style


def draw_learning(
    history: pl.DataFrame, metrics: Sequence[str] = (), titles: dict[str, str] | None = None
) -> Figure:
    """Loss (training dashed, validation solid) and up to two metrics; a dot marks the kept epoch.

    `history` has the columns seed, epoch, part, loss, best and one column a metric; several rows
    of one epoch (a log a few hundred steps) are averaged. Columns that are absent or empty are
    left out.
    """
    shown = [
        metric
        for metric in metrics
        if metric in history.columns and history[metric].is_not_null().any()
    ][:2]
    seeds = history["seed"].unique().sort().to_list()
    with style.look():
        figure = style.new_figure(style.WIDTH, 268)
        panels = np.atleast_1d(figure.subplots(1, 1 + len(shown)))
        _draw_panel(panels[0], history, "loss", "train", seeds)
        _draw_panel(panels[0], history, "loss", "validation", seeds)
        panels[0].set_title("Loss")
        for axes, metric in zip(panels[1:], shown, strict=True):
            _draw_panel(axes, history, metric, "validation", seeds)
            axes.set_title((titles or {}).get(metric, metric) + " on validation")
        epochs = history["epoch"]
        for axes in panels:
            style.grid(axes, "y")
            axes.set_xlabel("epoch")
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
            axes.yaxis.set_major_locator(MaxNLocator(nbins=5))
            if epochs.min() == epochs.max():  # one epoch is a dot; give it room
                axes.set_xticks([int(epochs.item(0))])
        style.legend(figure, _handles(seeds, history), columns=8)
        style.pad(figure)
    return figure


def _draw_panel(
    axes: Axes, history: pl.DataFrame, column: str, part: str, seeds: Sequence[int]
) -> None:
    for number, seed in enumerate(seeds):
        colour = style.SERIES[number % len(style.SERIES)]
        rows = (
            history.with_columns(pl.col(column).cast(pl.Float64))
            .filter((pl.col("seed") == seed) & (pl.col("part") == part))
            .filter(pl.col(column).is_not_null() & pl.col(column).is_not_nan())
            .group_by("epoch")
            .agg(pl.col(column).mean(), pl.col("best").fill_null(False).any())
            .sort("epoch")
        )
        if rows.is_empty():
            continue
        is_training = part == "train"
        alone = rows.height == 1
        axes.plot(
            rows["epoch"].to_numpy(),
            rows[column].to_numpy(),
            color=colour,
            lw=1.2 if is_training else 2,
            ls=(0, (3, 2)) if is_training else "-",
            alpha=0.75 if is_training else 1,
            marker="o" if alone else "",
            ms=3.5,
        )
        best = rows.filter("best")
        if not is_training and not best.is_empty():
            style.dot(axes, best["epoch"].to_numpy(), best[column].to_numpy(), colour, 7.5)


def _handles(seeds: Sequence[int], history: pl.DataFrame) -> list[Line2D]:
    """What the colours, the dashes and the dot mean."""
    parts = set(history["part"].to_list())
    handles = [
        Line2D([], [], color=style.SERIES[number % len(style.SERIES)], label=f"seed {seed}")
        for number, seed in enumerate(seeds[: len(style.SERIES)])
    ]
    if "train" in parts:
        handles.append(
            Line2D([], [], color=style.QUIET, lw=1.2, ls=(0, (3, 2)), label="training loss")
        )
    if history["best"].fill_null(False).any():
        kept = Line2D([], [], ls="none", marker="o", ms=6.5, label="epoch kept")
        kept.set(markerfacecolor=style.QUIET, markeredgecolor=style.PAPER)
        handles.append(kept)
    return handles
