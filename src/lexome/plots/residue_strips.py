"""Truth and prediction of every residue, one above the other along the sequence."""

# Letters: L residues of a sequence.
from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from lexome.plots import style

SHORTEST_LINE, LONGEST_LINE = 40, 100  # residues
MOST_LINES = 3  # of one sequence
# The commonest label stays pale; the others take a colour each, in the order of the labels.
COLOURS = (*style.SERIES, "#7a5ea8", "#8c6d46", "#4d8f8c", "#a8464b")
TRUTH, SAID, GAP = 0.0, 1.15, 0.12
ROW = 58.0  # pixels of a line


class Strip(NamedTuple):
    """One sequence: texts of one letter a residue."""

    name: str
    sequence: str
    truth: str
    said: str


def draw_strips(
    strips: Sequence[Strip], labels: Sequence[str], names: Sequence[str], pale: str, ignore: str
) -> Figure:
    """A block a sequence, cut into lines: its letters, its true labels, the predicted ones.

    A dot below a line marks a residue whose label was missed. Where the truth is ignored it is
    left blank, and so is the dot.

    Args:
        labels: all labels, in the order of the legend.
        names: what the legend calls them.
        pale: the label that is drawn without colour.
        ignore: labels that are not judged.
    """
    others = [label for label in labels if label != pale]
    colour_of = {label: COLOURS[i % len(COLOURS)] for i, label in enumerate(others)} | {
        pale: style.RULE
    }
    longest = max(len(strip.truth) for strip in strips)
    line = min(max(longest, SHORTEST_LINE), LONGEST_LINE)
    lines = [
        (strip, start)
        for strip in strips
        for start in range(0, min(len(strip.truth), line * MOST_LINES), line)
    ]
    with style.look():
        height = 34 + sum(ROW + 20 * (start == 0) for _, start in lines)
        figure = style.new_figure(style.WIDTH, height)
        panels = figure.subplots(len(lines), 1, squeeze=False)[:, 0]
        for axes, (strip, start) in zip(panels, lines, strict=True):
            _draw_line(axes, strip, slice(start, start + line), colour_of, ignore)
        handles = [
            Patch(facecolor=colour_of[label], label=name)
            for label, name in zip(labels, names, strict=True)
        ]
        style.legend(figure, handles, columns=8)
        style.pad(figure, 0.0)
    return figure


def _draw_line(
    axes: Axes, strip: Strip, part: slice, colour_of: dict[str, str], ignore: str
) -> None:
    """One stretch of a sequence: letters, truth, prediction and what was missed."""
    start, line = part.start, part.stop - part.start
    truth, said = strip.truth[part], strip.said[part]
    for top, text in ((TRUTH, truth), (SAID, said)):
        for label, first, length in runs_of(text):
            if label in colour_of and (top == SAID or label not in ignore):
                axes.broken_barh(
                    [(first + 0.04, length - 0.08)], (top, 1.0), color=colour_of[label], lw=0
                )
    for at, letter in enumerate(strip.sequence[part]):
        axes.text(at + 0.5, TRUTH - 0.2, letter, ha="center", fontsize=7, color=style.QUIET)
    missed = [
        at + 0.5
        for at, (true, given) in enumerate(zip(truth, said, strict=True))
        if true != given and true not in ignore
    ]
    axes.plot(missed, [SAID + 1.38] * len(missed), "o", ms=2.6, color=style.INK, mew=0)
    if start == 0:
        axes.set_title(_heading(strip, line * MOST_LINES, ignore), fontsize=style.SMALL, pad=4)
    marked = [at for at in range(len(truth)) if (start + at + 1) % 10 == 0 or start + at == 0]
    axes.set_xticks([at + 0.5 for at in marked], [str(start + at + 1) for at in marked], fontsize=8)
    axes.set_yticks([TRUTH + 0.5, SAID + 0.5], ["truth", "predicted"], fontsize=9)
    axes.set_xlim(0, line)
    axes.set_ylim(SAID + 1.6, TRUTH - 1.0)
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)
    axes.tick_params(axis="both", pad=2)


def _heading(strip: Strip, most: int, ignore: str) -> str:
    """Name, length, and how many of its judged residues are right."""
    pairs = [pair for pair in zip(strip.truth, strip.said, strict=True) if pair[0] not in ignore]
    right = sum(true == given for true, given in pairs)
    said = f"{style.short(strip.name, 40)}   {right:,} of {len(pairs):,} right"
    if len(strip.truth) > most:
        said += f"; the first {most} of {len(strip.truth):,} residues"
    return said


def runs_of(text: str) -> list[tuple[str, int, int]]:
    """Stretches of one letter: the letter, where it begins, how long it is.

    >>> runs_of("HHC")
    [('H', 0, 2), ('C', 2, 1)]
    """
    found, at = [], 0
    for letter, group in groupby(text):
        length = sum(1 for _ in group)
        found.append((letter, at, length))
        at += length
    return found
