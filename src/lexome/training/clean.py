"""The test figure of a run with and without the test rows whose copies it was made with."""

import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lexome.errors import InputError
from lexome.evaluation.clean_metrics import CleanMetrics, calls_threshold, clean_metrics
from lexome.evaluation.metrics import Task
from lexome.results.residue_rows import explode_residues
from lexome.training.run_folder import Run, read_run


class JudgedClean(NamedTuple):
    """One model of a run, on all of its test rows and on the clean ones."""

    model: str
    metrics: CleanMetrics


class RunAudit(NamedTuple):
    """What `audit_run` finds."""

    headline: list[str]  # the task's metrics that matter most
    models: list[JudgedClean]  # the one that `lexome predict` uses, and the baseline
    similarity: float  # from which on a row counted as a copy


def audit_run(directory: str | Path) -> RunAudit:
    """The inflated and the clean test figures of a saved run, from what it has written.

    A test row leaks where the run's audit names a copy of it, exact or near, in the training or
    the validation part.

    Raises:
        InputError: no finished run with a test part.
    """
    return _audit(_read(Path(directory)))


def describe_clean(folder: Path, facts: dict[str, Any], headline: list[str]) -> dict[str, Any]:
    """The same for run.json, of a run that is about to be finished; NaN is null."""
    found = _audit(Run(folder, folder / "report.html", facts, {"headline": headline}))

    def plain(values: dict[str, float]) -> dict[str, float | None]:
        shown = {name: values[name] for name in headline}
        return {name: v if math.isfinite(v) else None for name, v in shown.items()}

    one = found.models[0].metrics
    models = [
        {"name": name, "inflated": plain(m.inflated), "clean": plain(m.clean)}
        for name, m in found.models
    ]
    return {"rows": one.rows, "leaked": one.leaked, "models": models}


def leaking_ids(run: Run) -> set[str]:
    """The ids of test rows that have a copy in the training or the validation part."""
    pairs = _table(run, "audit.csv")
    of_test = pl.col("part_b") == "test"
    return set(pairs.filter(of_test)["id_b"].cast(pl.String)) if pairs.height else set()


def _audit(run: Run) -> RunAudit:
    leaking = leaking_ids(run)
    rows = _table(run, "predictions.parquet").filter(pl.col("part") == "test")
    if not rows.height:
        raise InputError(str(run.directory), "no test part", "a run with one", "another run")
    task: Task = run.facts["task"]
    if run.facts.get("unit") == "residue":
        rows = explode_residues(rows, run.facts.get("ignore") or "")
    models: list[JudgedClean] = []
    if run.facts.get("tasks"):
        return RunAudit(
            list(run.metrics["headline"]),
            _audit_tasks(run.facts["tasks"], rows, leaking),
            float(run.facts["audit"]["similarity"]),
        )
    for (name,), frame in rows.group_by("model", maintain_order=True):
        truth, found, threshold = _answers(task, tuple(run.facts["labels"]), frame)
        leaks = [name in leaking for name in frame["id"].cast(pl.String)]
        models.append(JudgedClean(str(name), clean_metrics(task, truth, found, leaks, threshold)))
    similarity = float(run.facts["audit"]["similarity"])
    return RunAudit(list(run.metrics["headline"]), models, similarity)


def _audit_tasks(
    tasks: list[dict[str, Any]], rows: pl.DataFrame, leaking: set[str]
) -> list[JudgedClean]:
    """The same of several tasks, each figure called "task.metric"; rows are sequences."""
    models = []
    for (model,), all_rows in rows.group_by("model", maintain_order=True):
        inflated: dict[str, float] = {}
        clean: dict[str, float] = {}
        for task in tasks:
            name, frame = task["name"], all_rows.filter(pl.col("task") == task["name"])
            answers = _answers(task["task"], tuple(task["labels"]), frame)
            leaks = [one in leaking for one in frame["id"].cast(pl.String)]
            found = clean_metrics(task["task"], *answers[:2], leaks, answers[2])
            inflated |= {f"{name}.{key}": value for key, value in found.inflated.items()}
            clean |= {f"{name}.{key}": value for key, value in found.clean.items()}
        ids = set(all_rows["id"].cast(pl.String))
        figures = CleanMetrics(inflated, clean, len(ids), len(ids & leaking))
        models.append(JudgedClean(str(model), figures))
    return models


def _read(directory: Path) -> Run:
    try:
        return read_run(directory)
    except (OSError, ValueError) as error:
        raise InputError(
            str(directory),
            "no finished run of lexome finetune",
            "its directory, with run.json and metrics.json",
            "--train A --test B for files, or a table with --split column:part",
        ) from error


def _table(run: Run, name: str) -> pl.DataFrame:
    path = run.directory / name
    if not path.exists():
        raise InputError(str(path), "no such file", "what the run wrote", "training it again")
    if path.suffix == ".parquet":
        return pl.read_parquet(path)
    return pl.read_csv(path, infer_schema=False)


def _answers(
    task: Task, labels: tuple[str, ...], frame: pl.DataFrame
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Truth, answers and threshold as `measure` takes them, from rows of predictions.parquet."""
    truth, called = frame["label"].to_list(), frame["prediction"].to_list()
    half = np.array(0.5)
    if task == "regression":
        return np.array(truth, np.float64), frame["value"].to_numpy(), half
    if task == "binary":
        found = frame["probability"].to_numpy()
        yes = np.array([str(call) == labels[1] for call in called])
        truth_N = np.array([int(str(label) == labels[1]) for label in truth])
        return truth_N, found, calls_threshold(found, yes)
    found = frame.select([f"probability_{label}" for label in labels]).to_numpy()
    if task == "multiclass":
        # 6 digits need not add up to 1 as closely as metrics ask
        found = found / found.sum(axis=1, keepdims=True)
        return np.array([labels.index(str(label)) for label in truth]), found, half
    return _several(truth, labels), found, calls_threshold(found, _several(called, labels) == 1)


def _several(cells: list[str | None], labels: tuple[str, ...]) -> NDArray[np.int64]:
    sets = [set((cell or "").split(";")) for cell in cells]
    return np.array([[int(label in held) for label in labels] for held in sets])
