"""Average ranks of methods over tasks, with bars under those that are not shown to differ.

After the diagram of Demsar 2006, Journal of Machine Learning Research 7:1.
"""

# Letters: M methods.
import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath

from lexome.plots import style

# Pixels, down from the top of the picture.
TITLE, RULER, AXIS = 15.0, 50.0, 96.0
FIRST_BAR, BAR = 13.0, 10.0  # below the axis, and from one bar to the next
ROW = 24.0  # from one name to the next
NUMBER = 50.0  # the rank beside a name
EDGE = 4.0
LONGEST = 27  # letters of a name


def draw_critical_difference(
    methods: Sequence[str],
    average_ranks: Sequence[float],
    difference: float | None = None,
    cliques: Sequence[Sequence[str]] = (),
    num_tasks: int | None = None,
) -> Figure:
    """The axis of average ranks, best on the left, each method at the end of a line of its own.

    Args:
        methods: M names, each another.
        average_ranks: one a method; 1 is the best.
        difference: ranks this far apart differ; drawn as a ruler, None draws none.
        cliques: methods that are not shown to differ, a bar for each.
        num_tasks: for the title.
    """
    order = sorted(range(len(methods)), key=lambda m: average_ranks[m])
    ranks = [average_ranks[m] for m in order]
    names = [style.short(methods[m], LONGEST) for m in order]
    number_of = {methods[m]: number for number, m in enumerate(order)}
    bars = sorted(_ends([number_of[name] for name in clique]) for clique in cliques)
    levels = _stack(bars)
    half = math.ceil(len(names) / 2)
    left = EDGE + _widest(names[:half]) + NUMBER
    right = style.WIDTH - EDGE - _widest(names[half:]) - NUMBER
    last = max(len(names), 2)
    first_row = AXIS + FIRST_BAR + BAR * (max(levels, default=-1) + 1) + 12
    height = first_row + ROW * (half - 1) + 16
    # Lines go down a little inside of the room for names, so that the outermost has its bend.
    low_x, high_x = left + 14, right - 14

    def across(rank: float) -> float:
        return low_x + (rank - 1) / (last - 1) * (high_x - low_x)

    with style.look():
        figure = style.new_figure(style.WIDTH, height)
        figure.set_layout_engine("none")
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set(xlim=(0, style.WIDTH), ylim=(height, 0))
        axes.set_axis_off()
        _draw_axis(axes, [across(rank) for rank in range(1, last + 1)], num_tasks)
        if difference is not None:
            _draw_ruler(axes, across(1), across(1 + difference), difference)
        for number, (rank, name) in enumerate(zip(ranks, names, strict=True)):
            on_left = number < half
            row = number if on_left else len(names) - 1 - number
            edge = left if on_left else right
            _draw_method(axes, across(rank), first_row + ROW * row, edge, name, rank, on_left)
        for (best, worst), level in zip(bars, levels, strict=True):
            y = AXIS + FIRST_BAR + BAR * level
            ends = [across(ranks[best]) - 3, across(ranks[worst]) + 3]
            axes.plot(ends, [y, y], color=style.ORANGE, lw=4.5, zorder=4)
    return figure


def _draw_axis(axes: Axes, ticks: Sequence[float], num_tasks: int | None) -> None:
    over = f" over {num_tasks} tasks" if num_tasks else ""
    axes.text(EDGE, TITLE, f"average rank{over}; 1 is the best", size=style.NORMAL, va="center")
    axes.plot([ticks[0], ticks[-1]], [AXIS, AXIS], color=style.BASELINE, lw=1.2)
    apart = (ticks[-1] - ticks[0]) / (len(ticks) - 1)
    step = next(step for step in (1, 2, 5, 10, len(ticks)) if step * apart > 22 or step > 9)
    for rank, x in enumerate(ticks, start=1):
        axes.plot([x, x], [AXIS - 5, AXIS], color=style.BASELINE, lw=1.2)
        if (rank - 1) % step == 0:
            axes.text(x, AXIS - 9, str(rank), color=style.QUIET, ha="center", va="bottom")


def _draw_ruler(axes: Axes, start: float, end: float, difference: float) -> None:
    said = f"critical difference {difference:.2f}"
    if end > style.WIDTH - EDGE:
        axes.text(start, RULER, f"{said}, longer than this axis", color=style.QUIET, va="center")
        return
    axes.text(start, RULER - 9, said, color=style.QUIET, va="bottom")
    axes.plot([start, end], [RULER, RULER], color=style.INK, lw=1.4, solid_capstyle="butt")
    for x in (start, end):
        axes.plot([x, x], [RULER - 4, RULER + 4], color=style.INK, lw=1.4, solid_capstyle="butt")


def _draw_method(
    axes: Axes, x: float, y: float, edge: float, name: str, rank: float, on_left: bool
) -> None:
    """Down from the axis, and out to the name; no line crosses another's, as rows are ordered."""
    axes.plot([x, x, edge], [AXIS, y, y], color=style.BASELINE, lw=1.0, zorder=2)
    style.dot(axes, x, AXIS, style.BLUE)
    side, out = ("right", -1) if on_left else ("left", 1)
    axes.text(edge + out * 8, y, f"{rank:.2f}", color=style.QUIET, ha=side, va="center")
    axes.text(edge + out * NUMBER, y, name, size=style.NORMAL, ha=side, va="center")


def _ends(numbers: Sequence[int]) -> tuple[int, int]:
    return min(numbers), max(numbers)


def _stack(bars: Sequence[tuple[int, int]]) -> list[int]:
    """A level for each bar, sorted by its start, so that none lies on another.

    >>> _stack([(0, 3), (1, 4), (4, 6), (5, 7)])
    [0, 1, 0, 1]
    """
    ends: list[int] = []
    levels = []
    for best, worst in bars:
        level = next((n for n, end in enumerate(ends) if end < best), len(ends))
        ends[level : level + 1] = [worst]
        levels.append(level)
    return levels


def _widest(names: Sequence[str]) -> float:
    face = FontProperties(family=style.LOOK["font.family"])
    paths = [TextPath((0, 0), name, size=style.NORMAL, prop=face) for name in names]
    return max((float(path.get_extents().x1) for path in paths), default=0.0)
