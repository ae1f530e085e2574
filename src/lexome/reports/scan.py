"""The report of a scan: a heat map a sequence, and the positions that bear most and least."""

from pathlib import Path
from typing import Any

import polars as pl

from lexome.plots.style import svg_of
from lexome.plots.variant_map import draw_variant_map
from lexome.reports.numbers import counted, decimal, whole
from lexome.reports.page import (
    Html,
    Section,
    facts,
    folded,
    join,
    paragraph,
    picture,
    section,
    shell,
    table,
    text,
    whole_page,
)
from lexome.results.files import atomic_path, write_text

MOST_SHOWN = 10  # positions in each half of the table
UNIT = "log p(new) - log p(old), nats"


def write_scan_report(target: Path, scans: list[pl.DataFrame], notes: dict[str, Any]) -> Path:
    """Write one HTML file about these tables, each of one sequence, and return its path.

    `notes` is the provenance that was saved beside the table.
    """
    made = [_scan_section(number, one, notes) for number, one in enumerate(scans, start=1)]
    names = ", ".join(str(one["id"][0]) for one in scans[:3]) + (" ..." if len(scans) > 3 else "")
    head = f"Every substitution of {names}"
    said = f"Rule {notes['rule']}, model {notes['model']}. {notes['rule_definition']}"
    top = join([Html(f"<h1>{text(head)}</h1>"), paragraph(text(said))], "\n")
    ends = text(f"Written by Lexome {notes['lexome_version']}. Everything is in this file.")
    page = whole_page(head, top, [*made, _provenance(notes)], Html(f"<footer>{ends}</footer>"))
    write_text(target, page)
    return target


def write_scan_picture(target: Path, scan: pl.DataFrame, notes: dict[str, Any]) -> Path:
    """Write the heat map of one sequence by the ending of `target`: .svg, .png or .pdf."""
    figure = draw_variant_map(scan, _title(scan, notes), unit_of(notes))
    with atomic_path(target) as temporary:
        figure.savefig(temporary, dpi=216, facecolor="white")
    return target


def unit_of(notes: dict[str, Any]) -> str:
    """What the scores of a rule are."""
    return UNIT if str(notes["rule"]).endswith("marginal") else f"score by {notes['rule']}"


def _title(scan: pl.DataFrame, notes: dict[str, Any]) -> str:
    return f"{scan['id'][0]}: {notes['rule']} of {notes['model']}"


def _scan_section(number: int, scan: pl.DataFrame, notes: dict[str, Any]) -> Section:
    name = str(scan["id"][0])
    figure = draw_variant_map(scan, _title(scan, notes), unit_of(notes))
    svg = svg_of(figure, f"scan{number}", f"Scores of every substitution of {name}")
    unscored = int(scan["score"].null_count())
    said = (
        "Each column is a position with its residue on top, each row what is put there. Orange is "
        "less likely than the wild type, blue more likely, a dot the wild type itself; the lowest "
        "row is the mean of the column. What a model finds unlikely often harms a protein, and not "
        "always: the scores are no measurement."
    )
    if unscored:
        said += f" {counted(unscored, 'substitution')} could not be scored; the table says why."
    return section(
        f"scan-{number}", f"Heat map of {name}", picture(svg, text(said)), _positions(scan)
    )


def _positions(scan: pl.DataFrame) -> Html:
    """The positions of the lowest and of the highest mean score."""
    scored = scan.filter(pl.col("score").is_not_null())
    means = scored.group_by("position", "ref").agg(
        pl.col("score").mean(), pl.col("alt").sort_by("score", descending=True).head(3)
    )
    means = means.sort("score", "position")
    count = min(MOST_SHOWN, means.height // 2)
    if not count:
        return Html("")
    low, high = means.head(count).rows(), means.tail(count).rows()[::-1]
    rows = [
        [
            text(f"{ref}{position}"),
            text(decimal(score, has_unit=True)),
            text(f"{other_ref}{other}"),
            text(decimal(other_score, has_unit=True)),
            text(" ".join(best)),
        ]
        for (position, ref, score, _), (other, other_ref, other_score, best) in zip(
            low, high, strict=True
        )
    ]
    head = ["least tolerant", "mean score", "most tolerant", "mean score", "likeliest there"]
    return table([text(name) for name in head], rows, "narrow", numbers=(1, 3))


def _provenance(notes: dict[str, Any]) -> Section:
    known = {
        "Model": notes.get("model"),
        "Weights SHA-256": notes.get("sha256"),
        "Revision": notes.get("revision"),
        "Licence": notes.get("licence"),
        "Device and dtype": f"{notes.get('device')}, {notes.get('dtype')}",
        "Lexome": notes.get("lexome_version"),
        "Created": notes.get("created"),
    }
    pairs = {name: text(value) for name, value in known.items() if value is not None}
    rows = {"Rows": text(whole(notes["rows"]))} if "rows" in notes else {}
    return section(
        "provenance",
        "Where this came from",
        shell(str(notes.get("command", ""))),
        folded("Model and environment", facts(pairs | rows)),
    )
