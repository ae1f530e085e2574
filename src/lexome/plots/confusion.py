"""The confusion matrix: what each true class was taken for."""

# Letters: S sequences, C classes.
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from lexome.plots import style

MOST_CLASSES = 30  # beyond this a matrix is a carpet; the page lists the mix-ups instead


def confusion_counts(
    truth: Sequence[str], prediction: Sequence[str], labels: Sequence[str]
) -> NDArray[np.int64]:
    """How often each true label (row) was predicted as each label (column), (C, C).

    >>> confusion_counts(["a", "a", "b"], ["a", "b", "b"], ["a", "b"]).tolist()
    [[1, 1], [0, 1]]
    """
    number = {label: index for index, label in enumerate(labels)}
    counts = np.zeros((len(labels), len(labels)), np.int64)
    for true, said in zip(truth, prediction, strict=True):
        counts[number[true], number[said]] += 1
    return counts


def draw_confusion(counts: NDArray[np.int64], names: Sequence[str]) -> Figure:
    """Rows are the truth, columns the prediction; a cell's depth is its share of its row."""
    size = len(names)
    is_small = size <= 3
    labels = [style.short(name, 24 if is_small else 20) for name in names]
    cell_height = 62.0 if is_small else max(22.0, min(38.0, 460 / size))
    slanted = size > 5 or any(len(label) > 14 for label in labels)
    height = size * cell_height + (120 if slanted and not is_small else 64)
    width = min(style.WIDTH, 480.0) if is_small else style.WIDTH
    shares = counts / counts.sum(axis=1, keepdims=True).clip(1)
    with style.look():
        figure = style.new_figure(width, height)
        axes = figure.subplots()
        for row in range(size):
            for column in range(size):
                colour = style.BLUE if row == column else style.ORANGE
                depth = 0.04 + 0.5 * float(shares[row, column])
                box = Rectangle((column + 0.03, row + 0.04), 0.94, 0.92)
                box.set(facecolor=colour, alpha=depth if counts[row, column] else 0.03, lw=0)
                axes.add_patch(box)
                _write_cell(axes, row, column, int(counts[row, column]), shares[row, column], size)
        axes.set(xlim=(0, size), ylim=(size, 0))
        axes.xaxis.tick_top()  # before the labels are turned: it has labels of its own
        axes.xaxis.set_label_position("top")
        axes.set_xticks(np.arange(size) + 0.5, labels, color=style.INK)
        if slanted and not is_small:
            for name in axes.get_xticklabels():
                name.set(rotation=35, ha="left", rotation_mode="anchor")
        axes.set_yticks(np.arange(size) + 0.5, labels, color=style.INK)
        axes.set_xlabel("predicted")
        axes.set_ylabel("truth")
        for spine in axes.spines.values():
            spine.set_visible(False)
    return figure


def _write_cell(axes: Axes, row: int, column: int, count: int, share: float, size: int) -> None:
    def write(text: str, down: float, size: float, colour: str) -> None:
        axes.text(column + 0.5, row + down, text, size=size, color=colour, ha="center", va="center")

    if size <= 3:
        write(f"{count:,}", 0.4, 16, style.INK)
        write(f"{100 * share:.1f} % of the row", 0.74, style.SMALL, style.INK)
    elif count and size <= 16:
        ink = style.INK if row == column or share >= 0.05 else style.QUIET
        write(f"{count:,}", 0.53, style.SMALL, ink)


def mixups(
    counts: NDArray[np.int64], names: Sequence[str], most: int
) -> list[tuple[str, str, int, float]]:
    """The commonest confusions: truth, what it was taken for, how often, share of the truth."""
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    totals = counts.sum(axis=1)
    found = []
    for row, column in zip(*np.unravel_index(order, counts.shape), strict=True):
        if wrong[row, column]:
            share = float(wrong[row, column] / totals[row])
            found.append((names[row], names[column], int(wrong[row, column]), share))
    return found
