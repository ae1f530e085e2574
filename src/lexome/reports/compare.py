"""A comparison of runs as a page, a Markdown table, or lines for the terminal."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from lexome.plots.forest import Contrast, draw_forest
from lexome.plots.style import svg_of
from lexome.reports.metric_names import metric
from lexome.reports.numbers import decimal, whole
from lexome.reports.page import (
    Html,
    banner,
    facts,
    folded,
    join,
    paragraph,
    picture,
    section,
    table,
    text,
    whole_page,
)
from lexome.results.files import write_text
from lexome.results.types import Estimate

KEYS = ("difference", "low_difference", "high_difference")
HEADS = ("run", "metric", "figure", "95 % interval", "difference", "95 % interval", "p (Holm)", "")


def write_comparison(path: Path, found: pl.DataFrame, facts_of: dict[str, Any]) -> None:
    """Write `.html` (with the picture) or `.md`.

    Args:
        path: where, by its ending.
        found: the table of `lexome.compare`.
        facts_of: reference, headline, rows, groups, notes, and the provenance.
    """
    made = markdown(found, facts_of) if path.suffix == ".md" else _page(found, facts_of)
    write_text(path, made)


def markdown(found: pl.DataFrame, facts_of: dict[str, Any]) -> str:
    """The headline metrics as a table, and what it says."""
    lines = [_said(facts_of), "", _line(HEADS), _line(["---"] * len(HEADS))]
    lines += [_line(cells) for cells in cells_of(found, facts_of["headline"])]
    lines += ["", *(f"- {note}" for note in facts_of["notes"])]
    return "\n".join(lines).rstrip() + "\n"


def cells_of(found: pl.DataFrame, metrics: Sequence[str]) -> list[list[str]]:
    """A line for each metric and run, as text."""
    shown = []
    for name in metrics:
        for row in found.filter(pl.col("metric") == name).iter_rows(named=True):
            own = [row["run"], metric(name).name, _number(row["estimate"]), _ends(row, "")]
            apart = ["", "", "", "reference"]
            if row["against"]:
                apart = [
                    _number(row["difference"], "+"),
                    _ends(row, "_difference", "+"),
                    "–" if _lacks(row["p_holm"]) else f"{row['p_holm']:.2g}",
                    row["verdict"],
                ]
            shown.append(own + apart)
    return shown


def draw_comparison(found: pl.DataFrame, metrics: Sequence[str], reference: str) -> Any:
    """The picture of the differences: a panel a metric."""
    panels = []
    for name in metrics:
        rows = found.filter(pl.col("metric") == name, pl.col("against").is_not_null())
        contrasts = [
            Contrast(
                row["run"],
                Estimate(*(_or_nan(row[key]) for key in KEYS)),
                row["verdict"],
            )
            for row in rows.iter_rows(named=True)
        ]
        panels.append((metric(name).name, contrasts))
    return draw_forest(panels, reference)


def _page(found: pl.DataFrame, facts_of: dict[str, Any]) -> str:
    headline, reference = facts_of["headline"], facts_of["reference"]
    drawn = svg_of(draw_comparison(found, headline, reference), "forest", "differences")
    said = "Right of 0 is higher than the reference; what crosses 0 is a tie."
    others = [name for name in found["metric"].unique(maintain_order=True) if name not in headline]
    top = [
        Html(f"<h1>{text('Runs compared with ' + reference)}</h1>"),
        paragraph(text(_said(facts_of)), kind="answer"),
        *(banner("note", "Note.", text(note)) for note in facts_of["notes"]),
    ]
    made = [
        section("differences", "Differences", picture(drawn, text(said))),
        section(
            "figures",
            "Figures",
            _table(found, headline),
            folded("All other metrics", _table(found, others)),
        ),
        section(
            "provenance",
            "Where this came from",
            facts({_name(k): text(_plain(v)) for k, v in facts_of["provenance"].items()}),
        ),
    ]
    end = Html("<footer>Everything is in this file.</footer>")
    return whole_page("Runs compared", join(top, "\n"), made, end)


def _name(key: str) -> str:
    return str(key).replace("_", " ").capitalize()


def _plain(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _table(found: pl.DataFrame, metrics: Sequence[str]) -> Html:
    rows = [[text(cell) for cell in cells] for cells in cells_of(found, metrics)]
    return table([text(head) for head in HEADS], rows, numbers=(2, 3, 4, 5, 6))


def _said(facts_of: dict[str, Any]) -> str:
    return (
        f"{whole(facts_of['rows'])} test rows in {whole(facts_of['groups'])} groups of similar "
        f"sequences; figures are means over seeds, differences are to {facts_of['reference']}, "
        "paired, with groups and seeds drawn. A tie: the interval holds 0, or p (corrected by "
        "Holm) is 0.05 or more."
    )


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _ends(row: dict[str, Any], suffix: str, sign: str = "") -> str:
    low, high = row[f"low{suffix}"], row[f"high{suffix}"]
    return "" if _lacks(low) else f"[{_number(low, sign)}, {_number(high, sign)}]"


def _number(value: float | None, sign: str = "") -> str:
    if _lacks(value):
        return "–"
    assert value is not None
    return f"{value:{sign}.3f}" if abs(value) < 10 else decimal(value)


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value


def _lacks(value: float | None) -> bool:
    return value is None or not math.isfinite(value)
