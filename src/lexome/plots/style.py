"""One look for every picture: palette, sizes, figures without global state, and SVG for a page."""

import io
import re
import warnings
import xml.etree.ElementTree as ElementTree
from contextlib import AbstractContextManager
from html import escape
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

# The hues are those of Okabe and Ito (2008), which colour-blind eyes keep apart, made a little
# darker. A page may restyle each through the CSS variable of its name; alone, the hex value holds.
INK = "#1d2329"
QUIET = "#5c6670"
RULE = "#dfe3e7"
BASELINE = "#8d969f"
BLUE = "#0b6cb0"
ORANGE = "#d55e00"
GREEN = "#0a8f6a"
PINK = "#c26a9b"
AMBER = "#d99a00"
SKY = "#4fa9dd"
PAPER = "#fefefd"
VARIABLES = {
    INK: "--ink",
    QUIET: "--quiet",
    RULE: "--rule",
    BASELINE: "--baseline",
    BLUE: "--blue",
    ORANGE: "--orange",
    GREEN: "--green",
    PINK: "--pink",
    AMBER: "--amber",
    SKY: "--sky",
    PAPER: "--paper",
}
SERIES = (BLUE, ORANGE, GREEN, PINK, AMBER, SKY)  # one colour a curve, in this order

WIDTH = 760  # pixels of a full-width picture; one SVG unit is one pixel
SMALL = 11.0
NORMAL = 12.0

LOOK: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text: sharp, searchable, in the page's own face
    "svg.hashsalt": "lexome",
    "text.parse_math": False,  # a label with two dollar signs is a label
    "font.family": ["DejaVu Sans"],  # ships with matplotlib and is wide: measured room is enough
    "font.size": SMALL,
    "text.color": INK,
    "axes.edgecolor": BASELINE,
    "axes.labelcolor": QUIET,
    "axes.labelsize": SMALL,
    "axes.titlesize": NORMAL,
    "axes.titlelocation": "left",
    "axes.titlecolor": INK,
    "axes.titlepad": 10.0,
    "axes.labelpad": 6.0,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.facecolor": "none",
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "figure.facecolor": "none",
    "grid.color": RULE,
    "grid.linewidth": 0.8,
    "xtick.color": BASELINE,
    "ytick.color": BASELINE,
    "xtick.labelcolor": QUIET,
    "ytick.labelcolor": QUIET,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "xtick.major.size": 0.0,
    "ytick.major.size": 0.0,
    "xtick.major.pad": 6.0,
    "ytick.major.pad": 6.0,
    "lines.linewidth": 2.0,
    "lines.solid_capstyle": "round",
    "legend.frameon": False,
    "legend.fontsize": SMALL,
    "legend.handlelength": 1.6,
    "legend.columnspacing": 1.8,
}


def look() -> AbstractContextManager[Any]:
    """The house look while a figure is drawn; the settings found before come back after it."""
    return matplotlib.rc_context(LOOK)


def new_figure(width: float = WIDTH, height: float = 300) -> Figure:
    """An empty figure of so many pixels, on the Agg canvas, known to no global list."""
    # One point is one SVG unit, and 72 points are an inch: so a pixel is 1/72 inch here.
    figure = Figure(figsize=(width / 72, height / 72), dpi=72, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def pad(figure: Figure, panels: float = 0.06) -> None:
    """Set the room around and between the panels of a figure."""
    engine: Any = figure.get_layout_engine()
    engine.set(w_pad=2 / 72, h_pad=5 / 72, wspace=panels, hspace=panels)


def grid(axes: Axes, axis: str = "both") -> None:
    """Draw hairlines behind the data and drop the frame that they make needless."""
    axes.grid(True, axis=axis)  # type: ignore[arg-type]
    for side in ("left",) if axis != "x" else ("left", "bottom"):
        axes.spines[side].set_visible(False)


def dot(
    axes: Axes, x: ArrayLike, y: ArrayLike, colour: str, size: float = 7, label: str | None = None
) -> None:
    """Draw dots with a rim of paper, so that they stand clear of the lines below them."""
    axes.plot(
        np.atleast_1d(x),
        np.atleast_1d(y),
        ls="none",
        marker="o",
        ms=size,
        mfc=colour,
        mec=PAPER,
        mew=1.4,
        zorder=5,
        label=label,
    )


def legend(figure: Figure, handles: list[Any] | None = None, columns: int = 4) -> None:
    """One quiet legend above all panels, starting at the left edge."""
    if handles is None:
        handles = [handle for axes in figure.axes for handle in axes.get_legend_handles_labels()[0]]
    seen: dict[str, Any] = {}
    for handle in handles:
        seen.setdefault(str(handle.get_label()), handle)
    if seen:
        figure.legend(
            handles=list(seen.values()),
            loc="outside upper left",
            ncols=min(columns, len(seen)),
            labelcolor=QUIET,
            borderpad=0,
            borderaxespad=0.1,
        )


def short(text: object, width: int = 26) -> str:
    """The text on one line without control characters, its middle left out when too long.

    >>> short("Endoplasmic reticulum membrane", 20)
    'Endoplasmi…m membrane'
    """
    line = " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())
    if len(line) <= width + 1:
        return line
    return line[: (width + 1) // 2] + "…" + line[len(line) - width // 2 :]


def svg_of(figure: Figure, name: str, title: str = "") -> str:
    """The figure as one `<svg>` element: the same bytes for the same figure, safe beside others.

    Every id starts with `name`, so several pictures stand in one page; colours of the palette
    become CSS variables with the plain colour as fallback; `title` is what a screen reader says.
    """
    text = io.StringIO()
    with look(), warnings.catch_warnings():
        # The face is the page's, not matplotlib's: what its own font lacks does not matter here.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(text, format="svg", metadata=nothing)
    root = ElementTree.fromstring(text.getvalue())
    width, height = root.attrib["viewBox"].split()[2:]
    referred = {
        id_ for node in root.iter() for value in node.attrib.values() for id_ in _references(value)
    }
    names = {
        node.attrib["id"]: f"{name}-{number}"
        for number, node in enumerate(n for n in root.iter() if n.attrib.get("id") in referred)
    }
    body = "".join(_write(child, names) for child in root)
    said = f"<title>{escape(title)}</title>" if title else ""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'class="figure" role="img" width="{_rounded(width)}" height="{_rounded(height)}" '
        f'viewBox="0 0 {_rounded(width)} {_rounded(height)}" style="stroke-linejoin:round;'
        f'font-family:var(--face,system-ui,sans-serif)">{said}{body}</svg>'
    )


def _references(value: str) -> list[str]:
    """The ids that an attribute points to."""
    found = re.findall(r"^#([\w.-]+)$|url\(#([\w.-]+)\)", value)
    return [whole or inside for whole, inside in found]


def _write(node: ElementTree.Element, names: dict[str, str]) -> str:
    """One element and its children, without what a page does not need."""
    tag = node.tag.rpartition("}")[2]
    if tag in {"style", "metadata"}:  # its style rule would hold for the whole page
        return ""
    attributes = {}
    for key, value in node.attrib.items():
        key = "xlink:href" if key.endswith("}href") else key
        if key == "id":
            if value in names:
                attributes[key] = names[value]
        elif (mended := _mended(key, value, names)) is not None:
            attributes[key] = mended
    inner = "".join(_write(child, names) for child in node)
    if tag == "text":
        inner = escape(node.text or "", quote=False) + inner
    if attributes.get("style") == "fill:none":  # the empty grounds of figure and axes
        return ""
    if tag in {"g", "defs"} and (not inner or (tag == "g" and not attributes)):
        return inner
    written = "".join(f' {key}="{escape(value)}"' for key, value in attributes.items())
    return f"<{tag}{written}>{inner}</{tag}>" if inner else f"<{tag}{written}/>"


def _mended(key: str, value: str, names: dict[str, str]) -> str | None:
    """An attribute with short numbers, prefixed ids, and colours that the page can restyle."""
    for id_ in _references(value):
        value = value.replace(f"#{id_}", f"#{names[id_]}")
    if key == "transform" and value.startswith("rotate(-0 "):
        return None
    if key == "style":
        value = re.sub(r"font-family: [^;]*;? ?", "", value)
        value = re.sub(r"font: [^;]*?([\d.]+px)[^;]*", r"font-size: \1", value)  # matplotlib < 3.10
        value = re.sub(r"#[0-9a-f]{6}", lambda found: _variable(found[0]), value)
        return value.replace(": ", ":").replace("; ", ";").strip() or None
    if key in {"d", "x", "y", "width", "height", "transform", "points"}:
        return _rounded(re.sub(r"\s+", " ", value).strip())
    return value


def _variable(colour: str) -> str:
    return f"var({VARIABLES[colour]},{colour})" if colour in VARIABLES else colour


def _rounded(text: str) -> str:
    """Numbers with two decimals at most: a hundredth of a pixel is seen by nobody.

    >>> _rounded("M 12.3456 7.0 L 0.0001 288")
    'M 12.35 7 L 0 288'
    """

    def mended(found: re.Match[str]) -> str:
        return f"{round(float(found[0]), 2) + 0.0:g}" if abs(float(found[0])) < 1e4 else found[0]

    return re.sub(r"-?\d+\.\d+(?:e-?\d+)?", mended, text)
