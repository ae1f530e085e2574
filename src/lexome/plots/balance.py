"""Label balance: how the labels, or the values, are spread over the parts of the split."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from lexome.plots import style

MOST_BARS = 40


def draw_balance(
    counts: Mapping[str, Mapping[str, int]], names: Mapping[str, str], sizes: Mapping[str, int]
) -> Figure:
    """Share of each label within each part, one panel a part; the counts stand beside the bars.

    `counts` is part -> label -> rows; `names` says how labels are written; `sizes` are the rows of
    the parts, less than the sum of the counts where a row has several labels. With more than forty
    labels the most frequent forty are drawn.
    """
    parts = list(counts)
    labels = list(dict.fromkeys(label for part in parts for label in counts[part]))
    if len(labels) > 2:
        labels.sort(key=lambda label: -sum(counts[part].get(label, 0) for part in parts))
    labels = labels[:MOST_BARS]
    with style.look():
        figure = style.new_figure(style.WIDTH, 66 + (30 if len(labels) <= 3 else 23) * len(labels))
        panels = np.atleast_1d(figure.subplots(1, len(parts), sharey=True, sharex=True))
        longest = 0.0
        for axes, part in zip(panels, parts, strict=True):
            total = max(1, sizes[part])
            shares = [100 * counts[part].get(label, 0) / total for label in labels]
            longest = max(longest, *shares)
            bars = axes.barh(range(len(labels)), shares, height=0.62, color=style.BLUE, alpha=0.75)
            if len(labels) == 2:  # the class looked for is blue in every picture, the other grey
                bars[1].set(facecolor=style.BASELINE, alpha=0.6)
            for row, (label, share) in enumerate(zip(labels, shares, strict=True)):
                axes.annotate(
                    f"{counts[part].get(label, 0):,}",
                    (share, row),
                    xytext=(5, 0),
                    textcoords="offset points",
                    va="center",
                    color=style.QUIET,
                    fontsize=style.SMALL - 0.5,
                )
            axes.set_title(part)
            axes.set_xlabel("% of the part")
            style.grid(axes, "x")
        for axes in panels:
            axes.set_xlim(0, longest * 1.32)  # room for the counts
        panels[0].set_yticks(range(len(labels)), [style.short(names[n], 24) for n in labels])
        panels[0].tick_params(axis="y", labelcolor=style.INK)
        panels[0].invert_yaxis()
        style.pad(figure)
    return figure


def draw_values(
    counts: Mapping[str, tuple[ArrayLike, ArrayLike]], across: str, parts: Sequence[str]
) -> Figure:
    """How the values of a regression are spread: part -> (edges, rows), as a share of the part."""
    with style.look():
        figure = style.new_figure(style.WIDTH, 250)
        axes = figure.subplots()
        for part, colour in zip(parts, (style.BASELINE, style.AMBER, style.BLUE), strict=False):
            edges, rows = (np.asarray(values, np.float64) for values in counts[part])
            total = max(1.0, float(rows.sum()))
            fill = 0.25 if part == "train" else 0.0
            label = f"{part} ({int(rows.sum()):,})"
            axes.stairs(100 * rows / total, edges, fill=True, color=colour, alpha=fill, lw=0)
            axes.stairs(100 * rows / total, edges, color=colour, lw=1.8, label=label)
        axes.set_xlabel(style.short(across, 60))
        axes.set_ylabel("% of the part")
        style.grid(axes, "y")
        style.legend(figure)
        style.pad(figure)
    return figure
