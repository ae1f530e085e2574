"""What the page of several tasks at once has: an overview, then each task's own figures."""

import re

import polars as pl

from lexome.reports import pictures, run_files, tables
from lexome.reports.metric_names import metric
from lexome.reports.numbers import whole, with_interval
from lexome.reports.page import Html, Section, paragraph, section, table, text
from lexome.reports.run_files import Run, estimate

KINDS = {"binary": "two classes", "multiclass": "one of several classes", "regression": "a value"}
HEADLINES = {  # of each task's own sections
    "binary": ["auroc", "auprc", "mcc"],
    "multiclass": ["accuracy", "macro_auroc", "mcc"],
    "regression": ["spearman", "pearson", "r2"],
}
# Ids of pictures, which every task has; a page must hold each once.
PICTURE_ID = re.compile(r'(?<=id=")[a-z]+-\d+(?=")|(?<=#)[a-z]+-\d+')


def task_view(run: Run, task: dict[str, object]) -> Run:
    """One task of several as a run of its own: its figures, and the rows that have its label."""
    name, kind = str(task["name"]), str(task["task"])
    labels = [str(label) for label in task["labels"]]  # type: ignore[attr-defined]
    own = {
        "task": kind,
        "labels": labels,
        "positive_label": labels[1] if kind == "binary" else None,
        "label_column": name,
        "unit": "sequence",
    }
    rows = run.predictions.filter(pl.col("task") == name)
    if kind == "regression":
        rows = rows.with_columns(pl.col("label", "prediction").cast(pl.Float64))
    judged = rows.filter((pl.col("part") == run.part) & (pl.col("model") == run.chosen))
    comparison = {key: run.comparison.get(key) for key in ("part", "model", "baseline", "groups")}
    for key in ("metrics", "seeds"):
        if key in run.comparison:
            comparison[key] = {
                figure.removeprefix(f"{name}."): found
                for figure, found in run.comparison[key].items()
                if figure.startswith(f"{name}.")
            }
    return run._replace(
        facts=run.facts | own,
        models={model: entry | entry["tasks"][name] for model, entry in run.models.items()},
        headline=HEADLINES[kind],
        predictions=rows,
        by_sequence=rows,
        history=None,
        comparison=comparison | {"rows": judged.height} if run.comparison else {},
    )


def overview_section(run: Run) -> Section:
    """What each task is, who has its label, and how well it is told."""
    lines, counts = [], run.facts.get("balance") or {}
    parts = run_files.parts_in_order(list(counts))
    verdicts = run_files.differences(run)
    for key, task in zip(run.headline, run.facts["tasks"], strict=True):
        plain = estimate(run, run_files.baseline_name(run) or "", run.part, key)
        words = metric(key.rpartition(".")[2])
        figures = [estimate(run, run.chosen, run.part, key), plain]
        found = verdicts.get(key, {}).get("verdict", "")
        lines.append(
            [
                text(task["name"]),
                text(KINDS[task["task"]]),
                *(text(whole(counts[part][task["name"]])) for part in parts),
                text(words.name),
                *(with_interval(figure, words.has_unit) for figure in figures),
                text(found),
            ]
        )
    heads = ["task", "kind", *parts, "figure", run.chosen, "baseline", "so the model is"]
    said = (
        "Under train, validation and test: how many sequences have the task's label. A row without "
        "one is neither learned nor judged there."
    )
    shown = table([text(head) for head in heads], lines, "dense")
    return section("tasks", "Tasks", shown, paragraph(text(said), kind="verdict"))


def task_sections(run: Run) -> list[Section]:
    """Every task's own figures and pictures."""
    made = []
    for number, task in enumerate(run.facts["tasks"], start=1):
        view = task_view(run, task)
        for one in _sections(view):
            body = PICTURE_ID.sub(rf"\g<0>-task{number}", one.body)
            title = f"{task['name']}: {one.title[0].lower() + one.title[1:]}"
            if one.title[:2].isupper():
                title = f"{task['name']}: {one.title}"
            made.append(Section(f"{one.anchor}-{number}", title, Html(body)))
    return made


def _sections(view: Run) -> list[Section]:
    found: list[Section | None] = [pictures.metrics_section(view, tables.metrics_tables(view))]
    if view.task == "regression":
        found.append(pictures.scatter_section(view))
    else:
        found += [pictures.curves_section(view), pictures.confusion_section(view)]
        found.append(pictures.calibration_section(view))
    if view.task == "multiclass":
        found.append(pictures.labels_section(view, tables.label_table(view)))
    return [one for one in found if one]
