"""What a suite has found: one table of figures, published ones beside, means and ranks."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import polars as pl

from lexome.evaluation.ranks import Ranks, compare_ranks
from lexome.results.columns import (
    BASELINE,
    CLEAN,
    COMPARABLE,
    ENSEMBLE,
    ESTIMATE,
    HIGH,
    LEAKED,
    LOW,
    METRIC,
    MODEL,
    NOTE,
    PUBLISHED,
    REASON,
    ROWS_JUDGED,
    RUN,
    SEEDS,
    SOURCE,
    TASK,
    TASKS,
    VERDICT,
)
from lexome.suites.fine_tuned import Task, Trained
from lexome.suites.shared_folder import read_tasks
from lexome.training.run_folder import Run

COLUMNS: dict[str, Any] = {
    TASK: pl.String,
    MODEL: pl.String,
    METRIC: pl.String,
    ESTIMATE: pl.Float64,
    LOW: pl.Float64,
    HIGH: pl.Float64,
    ENSEMBLE: pl.Float64,
    CLEAN: pl.Float64,
    ROWS_JUDGED: pl.Int64,
    LEAKED: pl.Int64,
    SEEDS: pl.Int64,
    VERDICT: pl.String,
    COMPARABLE: pl.Boolean,
    SOURCE: pl.String,
    RUN: pl.String,
    NOTE: pl.String,
    REASON: pl.String,
}


class Standings(NamedTuple):
    """Figures of every pair, means over tasks, and the ranks of what was trained here."""

    table: pl.DataFrame  # COLUMNS
    means: pl.DataFrame
    ranks: Ranks | None


def tabulate(suite: str, trained: Sequence[Trained]) -> Standings:
    """Figures in the suite's own unit (MCC x 100 where it is published so).

    A row a task and model: the mean of the seeds with its interval, the ensemble of the seeds on
    all test rows and on those without a copy in training, and beside them the plain baseline (of
    the task's first run) and published figures.
    """
    facts = read_tasks(suite)
    rows: list[dict[str, Any]] = []
    tasks = list(dict.fromkeys(one.task.name for one in trained))
    for name in tasks:
        some = [one for one in trained if one.task.name == name]
        task = some[0].task
        main = str(task.facts.get("metric", facts["suite"]["headline"]))
        scale = float(facts["suite"].get("scale", 1))
        first = next((one for one in some if one.run is not None), None)
        for metric in [main, *task.facts.get("others", [])]:
            rows += [_contender_row(one, metric, scale) for one in some]
            if first is not None and first.run is not None:
                rows.append(_baseline_row(task, first.run, metric, scale))
            for model, said in facts.get("published", {}).items():
                if metric == main and name in said.get("values", {}):
                    value = float(said["values"][name])
                    rows.append(
                        _row(task, f"{model} ({PUBLISHED})", metric)
                        | {ESTIMATE: value, SOURCE: said["source"]}
                    )
            if first is not None:
                rows += [row for one in some for row in _further_rows(one, metric, scale)]
                rows += _further_rows(first, metric, scale, of_baseline=True)
    table = pl.DataFrame(rows, schema=COLUMNS)
    ranked = len(_sets(table, facts)) == 1 and facts["suite"].get("mean") != "none"
    return Standings(table, _means(table, facts), _ranks(_main(table, facts)) if ranked else None)


def _main(table: pl.DataFrame, facts: dict[str, Any]) -> pl.DataFrame:
    """The rows of each task's own metric."""
    headline = facts["suite"]["headline"]
    of = {name: one.get("metric", headline) for name, one in facts["tasks"].items()}
    return table.filter(pl.col(METRIC) == pl.col(TASK).replace_strict(of, default=None))


def _row(task: Task, model: str, metric: str) -> dict[str, Any]:
    comparable = bool(task.facts.get("comparable", True))
    return dict.fromkeys(COLUMNS) | {
        TASK: task.name,
        MODEL: model,
        METRIC: metric,
        COMPARABLE: comparable,
        NOTE: task.facts.get("note"),
    }


def _contender_row(one: Trained, metric: str, scale: float) -> dict[str, Any]:
    row = _row(one.task, one.contender.name, metric)
    if one.run is None:
        return row | {REASON: one.reason}
    models = one.run.metrics["models"]
    mean = next((m for m in models if m["kind"] == "mean"), models[0])
    chosen = next(m for m in models if m["name"] == one.run.metrics["chosen"])
    found = _estimate(mean, metric, scale)
    clean, compared = one.run.facts["clean"], one.run.metrics["comparison"]
    on_clean = clean["models"][0]["clean"].get(metric)
    return row | {
        **found,
        ENSEMBLE: _estimate(chosen, metric, scale)[ESTIMATE],
        CLEAN: None if on_clean is None else on_clean * scale,
        ROWS_JUDGED: clean["rows"],
        LEAKED: clean["leaked"],
        SEEDS: len(one.run.facts["seeds"]),
        VERDICT: compared["metrics"].get(metric, {}).get("verdict"),
        RUN: str(one.run.directory),
    }


def _further_rows(
    one: Trained, metric: str, scale: float, of_baseline: bool = False
) -> list[dict[str, Any]]:
    """The same run (or its baseline) on tables of another source, each a task of its own."""
    rows: list[dict[str, Any]] = []
    if one.run is None:
        return rows
    for name in one.task.facts.get("further", {}):
        row = _row(one.task, one.contender.name, metric)
        row |= {TASK: f"{one.task.name} on {name}", NOTE: None}
        metrics = one.further.get(name)
        if metrics is None:
            rows.append(row | {REASON: f"no {one.task.facts['further'][name]} at hand"})
            continue
        models = metrics["models"]
        kind = "baseline" if of_baseline else "mean"
        shown = next((m for m in models if m["kind"] == kind), models[0])
        chosen = next(m for m in models if m["name"] == metrics["chosen"])
        compared = metrics["comparison"]["metrics"].get(metric, {})
        row |= _estimate(shown, metric, scale)
        row |= {ROWS_JUDGED: metrics["rows"]["judged"], RUN: str(one.run.directory)}
        if of_baseline:
            row |= {MODEL: shown["name"], VERDICT: BASELINE}
        else:
            row |= {ENSEMBLE: _estimate(chosen, metric, scale)[ESTIMATE]}
            row |= {VERDICT: compared.get("verdict"), SEEDS: len(one.run.facts["seeds"])}
        rows.append(row)
    return rows


def _baseline_row(task: Task, run: Run, metric: str, scale: float) -> dict[str, Any]:
    plain = next(m for m in run.metrics["models"] if m["kind"] == "baseline")
    clean = run.facts["clean"]
    on_clean = clean["models"][-1]["clean"].get(metric)
    return _row(task, plain["name"], metric) | {
        **_estimate(plain, metric, scale),
        CLEAN: None if on_clean is None else on_clean * scale,
        ROWS_JUDGED: clean["rows"],
        LEAKED: clean["leaked"],
        VERDICT: BASELINE,
        RUN: str(run.directory),
    }


def _estimate(model: dict[str, Any], metric: str, scale: float) -> dict[str, float | None]:
    found = model["parts"]["test"][metric]
    names = {ESTIMATE: "value", LOW: "low", HIGH: "high"}
    return {
        column: None if found[key] is None else float(found[key]) * scale
        for column, key in names.items()
    }


def _means(table: pl.DataFrame, facts: dict[str, Any]) -> pl.DataFrame:
    """The mean of each model that has a figure for every task shown; of categories if asked for.

    Tasks that are not judged as the published ones were are left out where any are comparable.
    Of a suite with sets that are kept apart there is no mean over several of them.
    """
    schema = {MODEL: pl.String, TASKS: pl.Int64, ESTIMATE: pl.Float64}
    if facts["suite"].get("mean") == "none" or len(_sets(table, facts)) > 1:
        return pl.DataFrame(schema=schema)
    some = _main(table, facts).filter(pl.col(ESTIMATE).is_not_null())
    if some[COMPARABLE].any():
        some = some.filter(COMPARABLE)
    tasks = some[TASK].unique(maintain_order=True).to_list()
    category = {name: facts["tasks"][name].get("category", name) for name in tasks}
    rows = []
    for (model,), frame in some.group_by(MODEL, maintain_order=True):
        if frame.height < len(tasks):
            continue
        figures = dict(zip(frame[TASK], frame[ESTIMATE], strict=True))
        if facts["suite"].get("mean") == "categories":
            groups = {category[name] for name in tasks}
            parts = [
                [figures[name] for name in tasks if category[name] == group] for group in groups
            ]
            mean = math.fsum(math.fsum(part) / len(part) for part in parts) / len(parts)
        else:
            mean = math.fsum(figures.values()) / len(figures)
        rows.append({MODEL: model, TASKS: len(tasks), ESTIMATE: mean})
    return pl.DataFrame(rows, schema=schema)


def _sets(table: pl.DataFrame, facts: dict[str, Any]) -> set[str]:
    """The sets that the tasks shown belong to."""
    key = facts["suite"].get("apart")
    tasks = [name for name in table[TASK].unique() if name in facts["tasks"]]
    return {str(facts["tasks"][name][key]) for name in tasks} if key else {"all"}


def _ranks(table: pl.DataFrame) -> Ranks | None:
    """Ranks of what was trained here (and its baseline), over the tasks that all of it has."""
    ours = table.filter(pl.col(RUN).is_not_null() & pl.col(ESTIMATE).is_not_null())
    models = ours[MODEL].unique(maintain_order=True).to_list()
    tasks = [
        name
        for (name,), frame in ours.group_by(TASK, maintain_order=True)
        if frame.height == len(models)
    ]
    if not tasks or len(models) < 2:
        return None
    figures = [
        [
            ours.filter((pl.col(TASK) == name) & (pl.col(MODEL) == model))[ESTIMATE][0]
            for model in models
        ]
        for name in tasks
    ]
    return compare_ranks(figures, models)
