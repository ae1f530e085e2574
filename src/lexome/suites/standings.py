"""What a suite has found: one table of figures, published ones beside, means and ranks."""

import math
from collections.abc import Sequence
from pathlib import Path
from statistics import stdev
from typing import Any, NamedTuple

import polars as pl

from lexome.evaluation.ranks import Ranks, compare_ranks
from lexome.results.columns import (
    BASELINE,
    CLEAN,
    COMPARABLE,
    ENSEMBLE,
    ESTIMATE,
    FOLDS,
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
    SD_OVER_FOLDS,
    SEEDS,
    SOURCE,
    TASK,
    TASKS,
    VERDICT,
)
from lexome.suites.fine_tuned import Task, Trained
from lexome.suites.shared_folder import read_tasks
from lexome.training.run_folder import Run, read_run

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
    FOLDS: pl.Int64,
    SD_OVER_FOLDS: pl.Float64,
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
    the task's first run) and published figures. Of folds the mean over them, with their spread.
    """
    facts = read_tasks(suite)
    rows: list[dict[str, Any]] = []
    tasks = list(dict.fromkeys(one.task.name for one in trained))
    for name in tasks:
        some = _hold_to_rows([one for one in trained if one.task.name == name])
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


def trace_runs(trained: Sequence[Trained]) -> dict[str, dict[str, Any]]:
    """Where the figures of each run come from, by its directory: also of the runs of folds."""
    runs = [one.run for one in trained if one.run is not None]
    folders = [run.directory for run in runs if "folds" not in run.facts]
    folders += [Path(fold["run"]) for run in runs for fold in run.facts.get("folds", ())]
    named = ("fingerprint", "created", "command", "data", "dtype", "environment", "seconds")
    found = {}
    for folder in folders:
        facts = read_run(folder).facts
        found[str(folder)] = {name: facts[name] for name in named}
    return found


def _contender_row(one: Trained, metric: str, scale: float) -> dict[str, Any]:
    row = _row(one.task, one.contender.name, metric)
    if one.run is None:
        return row | {REASON: one.reason}
    clean = one.run.facts["clean"]
    on_clean = clean["models"][0]["clean"].get(metric)
    return row | {
        **_own_figures(one.run.metrics, metric, scale),
        CLEAN: None if on_clean is None else on_clean * scale,
        ROWS_JUDGED: clean["rows"],
        LEAKED: clean["leaked"],
        SEEDS: len(one.run.facts["seeds"]),
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
            if not of_baseline:  # said once is enough
                rows.append(row | {REASON: f"no {one.task.facts['further'][name]} at hand"})
            continue
        row |= {ROWS_JUDGED: metrics["rows"]["judged"], RUN: str(one.run.directory)}
        if of_baseline:
            row |= _plain_figures(metrics, metric, scale)
        else:
            row |= _own_figures(metrics, metric, scale) | {SEEDS: len(one.run.facts["seeds"])}
        rows.append(row)
    return rows


def _own_figures(metrics: dict[str, Any], metric: str, scale: float) -> dict[str, Any]:
    """What the seeds reach on average and together, and whether that is more than the baseline."""
    models = metrics["models"]
    mean = next((m for m in models if m["kind"] == "mean"), models[0])  # a seed alone is its mean
    chosen = next(m for m in models if m["name"] == metrics["chosen"])
    compared = metrics["comparison"]["metrics"].get(metric, {})
    return _estimate(mean, metric, scale) | {
        ENSEMBLE: _estimate(chosen, metric, scale)[ESTIMATE],
        VERDICT: compared.get("verdict"),
    }


def _plain_figures(metrics: dict[str, Any], metric: str, scale: float) -> dict[str, Any]:
    plain = next(m for m in metrics["models"] if m["kind"] == "baseline")
    return _estimate(plain, metric, scale) | {MODEL: plain["name"], VERDICT: BASELINE}


def _baseline_row(task: Task, run: Run, metric: str, scale: float) -> dict[str, Any]:
    clean = run.facts["clean"]
    on_clean = clean["models"][-1]["clean"].get(metric)
    return _row(task, BASELINE, metric) | {
        **_plain_figures(run.metrics, metric, scale),
        CLEAN: None if on_clean is None else on_clean * scale,
        ROWS_JUDGED: clean["rows"],
        LEAKED: clean["leaked"],
        RUN: str(run.directory),
    }


def _estimate(model: dict[str, Any], metric: str, scale: float) -> dict[str, Any]:
    found = model["parts"]["test"][metric]
    names = {ESTIMATE: "value", LOW: "low", HIGH: "high"}
    figures: dict[str, Any] = {
        column: None if found[key] is None else float(found[key]) * scale
        for column, key in names.items()
    }
    if "by_fold" in model:
        each = [one[metric] for one in model["by_fold"]]
        figures |= {FOLDS: len(each)}
        if None not in each and len(each) > 1:
            figures |= {SD_OVER_FOLDS: stdev(each) * scale}
    return figures


def _hold_to_rows(trained: list[Trained]) -> list[Trained]:
    """The same, but a task by folds is comparable only where it was judged on the rows published.

    What was judged is told by the first run; all of a task are of one table.
    """
    task = trained[0].task
    run = next((one.run for one in trained if one.run is not None), None)
    asked = [fold["rows"]["test"] for fold in task.folds if "rows" in fold]
    if run is None or not asked or [fold["rows"] for fold in run.facts["folds"]] == asked:
        return trained
    judged = sum(fold["rows"] for fold in run.facts["folds"])
    note = f"published is of other rows: {judged:,} were judged here, {sum(asked):,} there"
    facts = task.facts | {"comparable": False, "note": note}
    return [one._replace(task=task._replace(facts=facts)) for one in trained]


def _means(table: pl.DataFrame, facts: dict[str, Any]) -> pl.DataFrame:
    """The mean of each model that has a figure for every task shown; of categories if asked for.

    Tasks that are not judged as the published ones were are left out where any are comparable.
    Of a suite with sets that are kept apart there is no mean over several of them; of one task
    alone there is none.
    """
    schema = {MODEL: pl.String, TASKS: pl.Int64, ESTIMATE: pl.Float64}
    if facts["suite"].get("mean") == "none" or len(_sets(table, facts)) > 1:
        return pl.DataFrame(schema=schema)
    some = _main(table, facts).filter(pl.col(ESTIMATE).is_not_null())
    if some[COMPARABLE].any():
        some = some.filter(COMPARABLE)
    tasks = some[TASK].unique(maintain_order=True).to_list()
    if len(tasks) < 2:
        return pl.DataFrame(schema=schema)
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
