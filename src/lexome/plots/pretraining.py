"""A pre-training: the held-out figure against the tokens seen, beside what needs no training."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from lexome.plots import style


def draw_pretraining(
    curve: Sequence[tuple[float, float]], levels: Mapping[str, float], what: str
) -> Figure:
    """`curve` holds (tokens seen, figure); each level is a baseline, drawn as a labelled line.

    Tokens run on a logarithmic axis: each doubling costs what all before it cost.
    """
    tokens, figures = [point[0] for point in curve], [point[1] for point in curve]
    with style.look():
        figure = style.new_figure(style.WIDTH, 340)
        axes = figure.subplots()
        axes.set_xscale("log")
        axes.plot(tokens, figures, color=style.BLUE, lw=2, marker="o", ms=4)
        right = tokens[-1]
        for level in levels.values():
            axes.axhline(level, color=style.BASELINE, lw=1, ls=(0, (2, 3)))
        for text, level in _labels(levels):
            axes.annotate(
                text,
                (right, level),
                xytext=(0, 3),
                textcoords="offset points",
                ha="right",
                color=style.QUIET,
            )
        axes.annotate(
            f"{figures[-1]:.2f}",
            (right, figures[-1]),
            xytext=(0, -14),
            textcoords="offset points",
            ha="right",
            color=style.BLUE,
        )
        axes.xaxis.set_major_formatter(FuncFormatter(lambda n, _: f"{n / 1e6:,.0f} M"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.margins(y=0.12)  # room for the last figure
        axes.set(title=what[:1].upper() + what[1:], xlabel="tokens seen")
        style.grid(axes, "y")
        style.pad(figure)
    return figure


def _labels(levels: Mapping[str, float]) -> list[tuple[str, float]]:
    """One text for the levels that read the same, so that none lies on another."""
    names: dict[str, list[str]] = {}
    heights: dict[str, float] = {}
    for name, level in levels.items():
        shown = f"{level:.1f}"
        names.setdefault(shown, []).append(name)
        heights[shown] = max(heights.get(shown, level), level)
    return [(f"{', '.join(names[shown])}  {shown}", heights[shown]) for shown in names]
