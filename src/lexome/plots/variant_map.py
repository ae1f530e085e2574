"""A heat map of every substitution at every position, in lines like those of a sequence."""

# Letters: L positions, A letters that are put there.
import math
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from lexome.plots import style

LONGEST_LINE = 80  # positions
CELL = 11.0  # pixels of a cell's height
SCALE_CELLS = 61
HEADER = 62.0  # pixels of the title and the scale
GAP = 0.35  # of a cell, between groups of letters
SATURATION = 0.95  # of the cells lie within the scale; the others take its ends' colours
GROUPS = {
    "protein": {
        "aliphatic": "AVLIMC",
        "aromatic": "FWY",
        "polar": "STNQ",
        "positive": "KRH",
        "negative": "DE",
        "special": "GP",
    },
    "dna": {"bases": "ACGT"},
}


class VariantMap(NamedTuple):
    """One sequence's scores, as a matrix with NaN where there is none."""

    positions_L: NDArray[np.int64]
    refs: list[str]
    letters: str
    scores_AL: NDArray[np.float64]


def read_map(table: pl.DataFrame) -> VariantMap:
    """The matrix of a table with the columns position, ref, alt and score, of one sequence."""
    places = table.select("position", "ref").unique(maintain_order=True).sort("position")
    positions = places["position"].to_numpy()
    is_dna = set(table["alt"].unique()) <= set("ACGT")
    letters = "".join(GROUPS["dna" if is_dna else "protein"].values())
    row_of = {letter: i for i, letter in enumerate(letters)}
    scores_AL = np.full((len(letters), len(positions)), np.nan)
    rows = [row_of[letter] for letter in table["alt"].to_list()]
    columns = np.searchsorted(positions, table["position"].to_numpy())
    scores_AL[rows, columns] = table["score"].cast(pl.Float64).fill_null(np.nan).to_numpy()
    return VariantMap(positions, places["ref"].to_list(), letters, scores_AL)


def draw_variant_map(table: pl.DataFrame, title: str, unit: str = "score") -> Figure:
    """Orange: less likely than the wild type; blue: more likely; a dot: the wild type itself.

    The last row of each line is the mean of its column. The scale is symmetric about 0.
    """
    drawn = read_map(table)
    num = len(drawn.refs)
    lines = max(math.ceil(num / LONGEST_LINE), 1)
    size = math.ceil(num / lines)
    groups = list(GROUPS["dna" if len(drawn.letters) == 4 else "protein"].items())
    rows = len(drawn.letters) + (len(groups) - 1) * GAP + 1 + 2 * GAP
    finite = np.abs(drawn.scores_AL[np.isfinite(drawn.scores_AL)])
    limit = float(np.quantile(finite, SATURATION)) if len(finite) else 1.0
    colours = LinearSegmentedColormap.from_list(
        "variants", [style.ORANGE, "#f4b98a", "#f7f7f5", "#8dbfe0", style.BLUE]
    )
    norm = Normalize(-(limit or 1.0), limit or 1.0)
    heights = [HEADER, *[rows * CELL + 44] * lines]
    with style.look():
        figure = style.new_figure(style.WIDTH, sum(heights))
        panels = figure.subplots(lines + 1, 1, height_ratios=heights)
        _draw_header(panels[0], title, colours, norm, unit)
        for number, axes in enumerate(panels[1:]):
            part = slice(number * size, min((number + 1) * size, num))
            _draw_line(axes, drawn, part, size, groups, colours, norm)
        style.pad(figure, 0.0)
    return figure


def _draw_line(
    axes: Axes,
    drawn: VariantMap,
    part: slice,
    size: int,
    groups: Sequence[tuple[str, str]],
    colours: Any,
    norm: Normalize,
) -> None:
    """One stretch of the sequence: a block of rows a group of letters, and their mean below."""
    refs, positions = drawn.refs[part], drawn.positions_L[part]
    edges = np.arange(len(refs) + 1) - 0.5
    tops = list(accumulate((len(letters) + GAP for _, letters in groups), initial=0.0))
    ticks, names = [], []
    row = 0
    for (group, letters), top in zip(groups, tops, strict=False):
        cells = drawn.scores_AL[row : row + len(letters), part]
        _draw_cells(axes, edges, top, cells, colours, norm)
        for i, letter in enumerate(letters):
            ticks.append(top + i + 0.5)
            names.append(letter)
            own = [x for x, ref in enumerate(refs) if ref == letter]
            axes.plot(own, [top + i + 0.5] * len(own), ".", ms=3.2, color=style.QUIET)
        axes.text(
            size - 0.2, top + len(letters) / 2, group, va="center", color=style.QUIET, fontsize=9
        )
        row += len(letters)
    bottom = tops[-1] + GAP
    with np.errstate(invalid="ignore"):
        known = np.isfinite(drawn.scores_AL[:, part])
        sums = np.where(known, drawn.scores_AL[:, part], 0.0).sum(0)
        mean_1L = np.where(known.any(0), sums / np.maximum(known.sum(0), 1), np.nan)[None]
    _draw_cells(axes, edges, bottom, mean_1L, colours, norm)
    axes.set_yticks([*ticks, bottom + 0.5], [*names, "mean"], fontsize=8)
    for x, ref in enumerate(refs):
        axes.text(x, -0.35, ref, ha="center", va="bottom", fontsize=8, color=style.INK)
    marked = [x for x, p in enumerate(positions) if p % 10 == 0 or x == 0]
    marked = [a for a, b in pairwise([*marked, 10**9]) if b - a > 3 or a == 0]
    axes.set_xticks(marked, [str(positions[x]) for x in marked], fontsize=9)
    axes.set_xlim(-0.5, size - 0.5)
    axes.set_ylim(bottom + 1, 0)
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)
    axes.tick_params(axis="y", pad=3)
    axes.tick_params(axis="x", pad=3)


def _draw_cells(
    axes: Axes,
    edges: NDArray[Any],
    top: float,
    cells: NDArray[Any],
    colours: Any,
    norm: Normalize,
) -> None:
    """Squares; those without a score stay paper."""
    heights = top + np.arange(len(cells) + 1)
    axes.pcolormesh(
        edges,
        heights,
        np.ma.masked_invalid(cells),
        cmap=colours,
        norm=norm,
        edgecolors="face",
        linewidth=0.2,
    )


def _draw_header(axes: Axes, title: str, colours: Any, norm: Normalize, unit: str) -> None:
    """The title at the left, the scale at the right."""
    axes.set_axis_off()
    axes.text(0, 1, title, va="top", fontsize=style.NORMAL + 1, color=style.INK)
    axes.text(0, 0.52, f"{unit}; a dot is the wild type", va="top", color=style.QUIET, fontsize=9)
    # Not a colour bar: that would be an image inside the picture, which a page does not show.
    scale = axes.inset_axes((0.64, 0.56, 0.34, 0.22))
    edges = np.linspace(norm.vmin or -1.0, norm.vmax or 1.0, SCALE_CELLS + 1)
    _draw_cells(scale, edges, 0.0, (edges[1:] + edges[:-1])[None] / 2, colours, norm)
    scale.set_yticks([])
    scale.tick_params(labelsize=9, pad=2)
    for side in ("left", "bottom"):
        scale.spines[side].set_visible(False)
    for x, side, said in ((0.64, "left", "less likely"), (0.98, "right", "more likely")):
        axes.text(x, 0.86, said, ha=side, va="bottom", fontsize=9, color=style.QUIET)
