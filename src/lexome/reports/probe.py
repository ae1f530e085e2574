"""The report of a probe: the atlas, its best cell as it looks and as it can be believed."""

from pathlib import Path
from typing import Any

import polars as pl

from lexome.plots.atlas import draw_atlas
from lexome.plots.intervals import Row, draw_intervals
from lexome.plots.style import PAPER, svg_of
from lexome.reports.metric_names import metric as words_of
from lexome.reports.numbers import counted, decimal, duration, interval, whole
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
from lexome.results.types import Estimate

MOST_SHOWN = 12  # cells in the table
NAN = float("nan")


def write_probe_pictures(folder: Path, atlas: pl.DataFrame, notes: dict[str, Any]) -> None:
    """Write the heat map as atlas.svg and atlas.png."""
    figure = draw_atlas(atlas, notes["model"]["name"], title_of(notes["metric"]))
    write_text(folder / "atlas.svg", svg_of(figure, "atlas", "probing atlas") + "\n")
    with atomic_path(folder / "atlas.png") as temporary:
        figure.savefig(temporary, dpi=144, facecolor=PAPER)


def write_probe_report(folder: Path, atlas: pl.DataFrame, notes: dict[str, Any]) -> Path:
    """Write report.html and return its path."""
    name = notes["model"]["name"]
    svg = svg_of(draw_atlas(atlas, name, title_of(notes["metric"])), "atlas", "probing atlas")
    caption = (
        f"{title_of(notes['metric'])} of every layer (0 are the embeddings) and pooling under each "
        "head. Below: what the letters' frequencies alone tell"
        + (", and random weights," if "untrained" in notes["beside"] else "")
        + " under the same head and folds."
    )
    top = join(
        [
            paragraph(text(f"Probing atlas of {name}"), kind="kicker"),
            Html(f"<h1>{text(notes['title'])}</h1>"),
            paragraph(text(sentence(notes)), kind="answer"),
            paragraph(text(compared(notes)), kind="verdict"),
        ],
        "\n",
    )
    sections = [
        section("atlas", "The atlas", picture(svg, text(caption))),
        _believed(notes),
        section("cells", "The best cells", _cells(atlas, name), _stable(notes)),
        _provenance(notes),
    ]
    ends = text(f"Written by Lexome {notes['lexome_version']}. Everything is in this file.")
    page = whole_page(notes["title"], top, sections, Html(f"<footer>{ends}</footer>"))
    write_text(folder / "report.html", page)
    return folder / "report.html"


def title_of(metric: str) -> str:
    """What a metric is called."""
    return words_of(metric).name


def sentence(notes: dict[str, Any]) -> str:
    """The best cell with both of its figures, in one sentence."""
    best = notes["best"]
    naive, believed = _estimate(best["naive"]), _estimate(best["believed"])
    if notes["split"]["folds"]:
        how = "corrected for having been chosen"
    else:
        how = "on the test rows, which chose nothing"
    return (
        f"Best of {counted(notes['cells'], 'cell')}: {cell_name(best)}. "
        f"{title_of(notes['metric'])} {decimal(naive.value)} as it looks; "
        f"{how}: {decimal(believed.value)} {interval(believed)}."
    )


def compared(notes: dict[str, Any]) -> str:
    """What the model adds to composition, as far as the intervals tell."""
    mine = _estimate(notes["best"]["believed"])
    said = []
    for name, one in notes["beside"].items():
        other = _estimate(one["believed"])
        told = f"{_called(name)} {decimal(other.value)} {interval(other)}"
        if mine.low > other.high:
            told += ": less, the intervals lie apart"
        elif mine.high < other.low:
            told += ": more, the intervals lie apart"
        else:
            told += ": the intervals overlap"
        said.append(told)
    whole_text = "; ".join(said) + "."
    return whole_text[0].upper() + whole_text[1:]


def cell_name(cell: dict[str, Any]) -> str:
    """A cell in words.

    >>> cell_name({"layer": 3, "pooling": "mean", "head": "knn", "head_title": "linear"})
    'layer 3, mean, linear'
    """
    layer = "" if cell["layer"] is None else f"layer {cell['layer']}, "
    return f"{layer}{cell['pooling']}, {cell.get('head_title', cell['head'])}"


def _called(name: str) -> str:
    return "random weights" if name == "untrained" else name


def _estimate(found: dict[str, Any]) -> Estimate:
    """An estimate from JSON, where NaN is null."""
    return Estimate(*(NAN if found[k] is None else found[k] for k in ("value", "low", "high")))


def _believed(notes: dict[str, Any]) -> Section:
    best = notes["best"]
    is_folds = bool(notes["split"]["folds"])
    said = "corrected" if is_folds else "test rows"
    rows = [
        Row("best cell, as it looks", _estimate(best["naive"])),
        Row(f"best cell, {said}", _estimate(best["believed"])),
    ]
    for name, one in notes["beside"].items():
        rows.append(Row(_called(name), None, _estimate(one["believed"])))
    rows = [row for row in rows if all(e is None or e.value == e.value for e in row[1:3])]
    svg = svg_of(draw_intervals(rows, title_of(notes["metric"]), from_zero=False), "believed", said)
    why = (
        "The best of many cells is partly the luckiest. Rows (whole similarity groups) are drawn "
        "again and again; the best cell among the drawn rows is judged on those left out "
        "(Tsamardinos et al. 2018, Machine Learning 107:1895). Grey figures are corrected alike."
        if is_folds
        else "The cell was chosen on the validation rows; the test rows took no part in it."
    )
    return section("believed", "What can be believed", picture(svg, text(why)))


def _cells(atlas: pl.DataFrame, name: str) -> Html:
    own = atlas.filter(pl.col("model") == name).head(MOST_SHOWN)
    rows = [
        [
            text("" if row["layer"] is None else row["layer"]),
            text(row["pooling"]),
            text(row["head"]),
            text(decimal(row["value"])),
            text(interval(Estimate(row["value"], row["low"], row["high"]))),
            text(f"{row['chosen_share']:.0%}"),
        ]
        for row in own.to_dicts()
    ]
    head = ["layer", "pooling", "head", "value", "95 % interval", "chosen"]
    return table([text(one) for one in head], rows, "narrow", numbers=(0, 3, 5))


def _stable(notes: dict[str, Any]) -> Html:
    shares = notes["best"]["chosen"]
    said = (
        "Intervals of single cells know nothing of the choice. “chosen” is the share of resamples "
        "in which a cell was the best one; "
    )
    if shares and shares[0]["share"] > 0.5:
        return paragraph(text(said + "one cell leads clearly."))
    return paragraph(text(said + "no cell leads clearly, so which one is best is not settled."))


def _provenance(notes: dict[str, Any]) -> Section:
    model, data, split = notes["model"], notes["data"], notes["split"]
    parts = split["folds"] or split["parts"]
    known = {
        "Model": f"{model['name']} ({model['family']}, {model['parameters']:,} parameters)",
        "Weights SHA-256": model["hash"],
        "Licence": model["licence"],
        "Device and dtype": f"{model['device']}, {model['dtype']}",
        "Data": data["path"],
        "Data SHA-256": data["sha256"],
        "Rows": f"{whole(data['used'])} of {whole(data['rows'])}",
        "Label": f"{notes['label_column']} ({notes['task']})",
        "Folds" if split["folds"] else "Parts": ", ".join(
            f"{name}: {whole(size)}" for name, size in parts.items()
        ),
        "Groups": f"{whole(split['groups'])}, by {split['how']}",
        "Long sequences": notes["settings"]["long"],
        "Seed": notes["settings"]["seed"],
        "Lexome": notes["lexome_version"],
        "Created": notes["created"],
        "Time": duration(notes["seconds"]),
    }
    pairs = {name: text(value) for name, value in known.items() if value is not None}
    return section(
        "provenance",
        "Where this came from",
        shell(str(notes["command"])),
        folded("Model, data and settings", facts(pairs)),
    )
