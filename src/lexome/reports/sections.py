"""Sections in words: data, split and audit, how to use the model, and where it came from."""

import json
import shlex
from typing import Any

import polars as pl

from lexome.reports import run_files
from lexome.reports.metric_names import metric
from lexome.reports.numbers import counted, cutoff, decimal, duration, percent, whole
from lexome.reports.page import (
    Html,
    Section,
    facts,
    folded,
    join,
    paragraph,
    section,
    shell,
    table,
    text,
)
from lexome.reports.run_files import Run

MOST_PAIRS = 8  # near copies listed in the page; the file has them all


def data_section(run: Run) -> Section:
    """What was read, what was mended or left out, and what became of long sequences."""
    data: dict[str, Any] = run.facts.get("data") or {}
    pairs = {}
    if data.get("path"):
        pairs["File"] = text(data["path"])
    if "rows" in data:
        pairs["Rows read"] = text(whole(data["rows"]))
    if run.facts.get("label_column"):
        kind = {
            "binary": "two classes",
            "multiclass": "one of several classes",
            "multilabel": "any number of labels",
            "regression": "a value",
            "multitask": "several things at once",
        }[run.task]
        each = " for each residue" if run.words.unit == "residue" else ""
        ignored = f"; the letters {run.ignore} say nothing" if run.ignore else ""
        pairs["Label"] = text(f"{run.facts['label_column']}: {kind}{each}{ignored}")
    if run.facts.get("pairs"):
        columns = run.facts.get("columns") or {}
        both = " and ".join(str(columns.get(role)) for role in ("sequence", "second"))
        pairs["Pairs"] = text(f"{both}: {run.facts['pairs']}")
    if run.facts.get("long_policy"):
        pairs["Long sequences"] = text(run.facts["long_policy"])
    cleaning = [
        [text(entry["what"]), text(whole(entry["count"]))]
        for entry in run.facts.get("cleaning") or []
    ]
    bricks = [facts(pairs)]
    if cleaning:
        bricks.append(table([text("cleaning"), text("count")], cleaning, "narrow"))
    return section("data", "Data and cleaning", *bricks)


def split_section(run: Run) -> Section:
    """How the parts were made, and which sequences of one part have copies in another."""
    split: dict[str, Any] = run.facts.get("split") or {}
    pairs = {}
    if split.get("spelling"):
        pairs["Split"] = Html(f"<code>--split {text(split['spelling'])}</code>")
    if split.get("description"):
        pairs["Parts"] = text(split["description"])
    bricks = [facts(pairs), _audit_table(run)]
    return section("split", "Split and audit", *(brick for brick in bricks if brick))


def _audit_table(run: Run) -> Html:
    audit: dict[str, Any] = run.facts.get("audit") or {}
    exact, near = audit.get("exact") or {}, audit.get("near") or {}
    if not exact and not near:
        return paragraph(text("The parts were not compared with one another."))
    rows = [
        [
            text(pair.replace("-", " and ")),
            text(whole(exact.get(pair, 0))),
            text(whole(near.get(pair, 0))),
        ]
        for pair in dict.fromkeys([*exact, *near])
    ]
    alike = percent(audit["similarity"], 0) if "similarity" in audit else "the chosen share"
    said = (
        f"Two sequences are near copies when they are at least {alike} alike. "
        "A copy in training of a test sequence makes the test easier than new data will be."
    )
    if run.facts.get("pairs"):
        said += " A pair counts where either of its sequences has a copy" + _whole_pairs(audit)
    made = [
        table([text("between"), text("exact copies"), text("near copies")], rows, "narrow"),
        paragraph(text(said), kind="verdict"),
    ]
    if (run.facts.get("clean") or {}).get("leaked"):
        made.append(_clean_table(run.facts["clean"]))
    if run.audit is not None and run.audit.height:
        made.append(_pairs_table(run.audit, str(audit.get("file", "audit.csv"))))
    return Html("\n".join(made))


def _whole_pairs(audit: dict[str, Any]) -> str:
    """How many of them are the same pair as one of the other part."""
    counts = (audit.get("same_pairs") or {}).items()
    found = [f"{whole(n)} between {parts.replace('-', ' and ')}" for parts, n in counts if n]
    return f"; copies of both, in either order: {', '.join(found)}." if found else "."


def _clean_table(clean: dict[str, Any]) -> Html:
    """The test figures on all rows, and without those whose copy the model was made with."""
    rows = []
    for model in clean["models"]:
        for key, inflated in model["inflated"].items():
            left = model["clean"][key]
            shown = [text("-" if v is None else decimal(v)) for v in (inflated, left)]
            rows.append([text(model["name"]), text(metric(key).name), *shown])
    kept = clean["rows"] - clean["leaked"]
    head = ["model", "figure", f"all {whole(clean['rows'])} test rows", f"{whole(kept)} clean ones"]
    said = (
        f"{counted(clean['leaked'], 'test row')} with an exact or near copy among training or "
        "validation rows left out: the right-hand figures are the ones to believe."
    )
    return Html(f"{table([text(name) for name in head], rows, numbers=(2, 3))}\n"
                f"{paragraph(text(said), kind='verdict')}")  # fmt: skip


def _pairs_table(audit: pl.DataFrame, file: str) -> Html:
    """The most similar pairs that stand in two parts."""
    shown = audit.sort("similarity", descending=True, maintain_order=True).head(MOST_PAIRS)
    rows = []
    for row in shown.iter_rows(named=True):
        same = row.get("same_label")
        rows.append(
            [
                Html(f"{text(row['id_a'])}<small>{text(row['part_a'])}</small>"),
                Html(f"{text(row['id_b'])}<small>{text(row['part_b'])}</small>"),
                text(percent(float(row["similarity"]))),
                text("" if same is None else "yes" if str(same).lower() in {"true", "1"} else "no"),
            ]
        )
    head = [text(name) for name in ("sequence", "its near copy", "alike", "same label")]
    name = f"The {counted(len(rows), 'closest pair')} of {whole(audit.height)} (all in {file})"
    if audit.height <= MOST_PAIRS:
        name = f"The {counted(audit.height, 'pair')} (in {file})"
    return folded(name, table(head, rows, numbers=(2,)))


def use_section(run: Run) -> Section:
    """The commands that use the model on new sequences."""
    folder = shlex.quote(str(run.facts.get("directory") or run.folder))
    limit = run_files.threshold(run)
    gives = {
        "binary": "the probability of "
        f"{run_files.positive_name(run)} and the call"
        + (f" at the threshold {cutoff(limit)}" if limit is not None else ""),
        "multiclass": "the probability of every class and the most probable one",
        "multilabel": "the probability of every label and the labels above their thresholds",
        "regression": "the predicted value",
        "multitask": "columns for each task",
    }[run.task]
    if run.words.unit == "residue":
        gives += ", for each residue"
    pairs, columns = run.facts.get("pairs"), run.facts.get("columns") or {}
    row, takes = "sequence", "Tables (CSV, TSV, Parquet) work in place of FASTA."
    if pairs:
        names = f"{columns.get('sequence')} and {columns.get('second')}"
        row, takes = "pair", f"The table (CSV, TSV, Parquet) has the columns {names}."
    return section(
        "use",
        "Use it",
        paragraph(text("From the directory that holds this run:")),
        shell(f"lexome predict {folder} new.{'csv' if pairs else 'fasta'} -o out.csv"),
        paragraph(
            text(
                f"This writes one row a {row}, in input order, with {gives}. {takes} "
                "A probability means what the calibration above "
                "says only for sequences like those of the test."
                if run.task != "regression"
                else f"This writes one row a {row}, in input order, with {gives}. {takes}"
            )
        ),
    )


def provenance_section(run: Run) -> Section:
    """Everything needed to make the run again, folded."""
    known = run.facts
    model: dict[str, Any] = known.get("model") or {}
    made = {}
    for name, value in (
        ("Command", _command(str(known["command"])) if "command" in known else None),
        ("Lexome", _plain(known.get("lexome_version"))),
        ("Created", _plain(known.get("created"))),
        ("Took", text(duration(float(known["seconds"]))) if "seconds" in known else None),
        ("Seeds", _plain(", ".join(map(str, known.get("seeds") or [])) or None)),
        ("Device", _plain(_device(known))),
        ("Again", _plain(_again(known))),
        ("Data SHA-256", _plain((known.get("data") or {}).get("sha256"))),
    ):
        if value is not None:
            made[name] = value
    shown = {str(key): _value(value) for key, value in model.items() if value is not None}
    settings = {str(key): _value(value) for key, value in (known.get("settings") or {}).items()}
    around = {str(key): _value(value) for key, value in (known.get("environment") or {}).items()}
    return section(
        "provenance",
        "Where this came from",
        facts(made),
        *(
            folded(name, facts(pairs))
            for name, pairs in (
                ("Model", shown),
                (counted(len(settings), "setting"), settings),
                ("Environment", around),
            )
            if pairs
        ),
    )


def _again(known: dict[str, Any]) -> str | None:
    """Whether the same command gives the same numbers."""
    found = known.get("determinism") or {}
    named = "; ".join(found.get("not_deterministic") or [])
    return f"{found['said']}{f' These are: {named}.' if named else ''}" if found else None


def _command(typed: str) -> Html:
    """A command that wraps between its arguments, not after their hyphens."""
    words = (Html(f'<span class="argument">{text(word)}</span>') for word in typed.split(" "))
    return Html(f"<code>{join(words, ' ')}</code>")


def _device(known: dict[str, Any]) -> str | None:
    said = [str(known[key]) for key in ("device", "dtype") if known.get(key)]
    if known.get("threads"):
        said.append(counted(int(known["threads"]), "thread"))
    return ", ".join(said) or None


def _plain(value: object) -> Html | None:
    return None if value is None else text(value)


def _value(value: Any) -> Html:
    """A setting as it is written: whole numbers with thousands, nested ones as JSON."""
    if isinstance(value, bool) or value is None:
        return text({True: "yes", False: "no", None: "none"}[value])
    if isinstance(value, int):
        return text(whole(value) if abs(value) >= 10_000 else value)
    if isinstance(value, dict | list):
        return Html(f"<code>{text(json.dumps(value, ensure_ascii=False))}</code>")
    return text(value)
