"""What a fine-tuning run has saved, read back for its report."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from lexome.errors import InputError
from lexome.results.columns import ID, LABEL, LENGTH, MODEL, PART, PREDICTION, ROW
from lexome.results.residue_rows import explode_residues
from lexome.results.types import Estimate

TASKS = ("binary", "multiclass", "multilabel", "regression", "multitask")
PREDICTION_COLUMNS = (MODEL, ROW, ID, PART, LENGTH, LABEL, PREDICTION)
PART_ORDER = ("train", "validation", "test")
PLAIN_POSITIVES = {"1", "1.0", "true", "yes", "y", "positive", "pos", "+"}


class Words(NamedTuple):
    """How the page speaks of what a run answers, and of what its baseline sees."""

    unit: str
    alone: str
    sees: str


OF_KMERS = Words("sequence", "k-mers", "only how often each short word occurs")
WORDS = {
    "sequence": Words("sequence", "composition", "only the composition of the sequence"),
    "tasks": Words("sequence", "composition", "only the composition of the sequence"),
    "residue": Words("residue", "neighbouring letters", "only the letters close to a residue"),
}


class Run(NamedTuple):
    """A run as its files tell it; `facts` is run.json."""

    folder: str  # the directory's own name
    facts: dict[str, Any]
    models: dict[str, dict[str, Any]]  # metrics.json, by model name
    chosen: str  # the model that `lexome predict` uses
    headline: list[str]
    predictions: pl.DataFrame  # a row a sequence, or a judged residue where these are answered
    by_sequence: pl.DataFrame  # always a row a sequence
    history: pl.DataFrame | None
    audit: pl.DataFrame | None
    trials: pl.DataFrame | None  # of a search
    comparison: dict[str, Any]  # with the baseline, of metrics.json; empty where there is none

    @property
    def task(self) -> str:
        """binary, multiclass, multilabel or regression."""
        return str(self.facts["task"])

    @property
    def words(self) -> Words:
        """How to speak of it."""
        if (baseline_name(self) or "").startswith("k-mers"):
            return OF_KMERS
        return WORDS[str(self.facts.get("unit", "sequence"))]

    @property
    def ignore(self) -> str:
        """Letters of residues' labels that are not judged."""
        return str(self.facts.get("ignore") or "")

    @property
    def labels(self) -> list[str]:
        """The label names, in the order of the model's outputs."""
        return [str(label) for label in self.facts.get("labels") or []]

    @property
    def part(self) -> str:
        """The part that the report judges the model on: test, or else the last one predicted."""
        present = parts_in_order(self.predictions["part"].unique().to_list())
        return "test" if "test" in present else present[-1]


def read_run(folder: Path) -> Run:
    """Read run.json, metrics.json, predictions.parquet and, where present, history and audit.

    Raises InputError when one of the first three is absent or is not what a run writes.
    """
    facts, metrics = _read_json(folder / "run.json"), _read_json(folder / "metrics.json")
    for file, found, needed in (
        ("run.json", facts, ("task", "title")),
        ("metrics.json", metrics, ("models", "chosen")),
    ):
        if lacking := [key for key in needed if key not in found]:
            raise InputError(
                str(folder / file),
                f"no entry {lacking[0]!r}",
                "the file that `lexome finetune` wrote",
                "running `lexome finetune` again",
            )
    if facts["task"] not in TASKS:
        raise InputError(
            str(folder / "run.json"),
            f"the task {facts['task']!r}",
            "one of " + ", ".join(TASKS),
            "a Lexome that knows this task",
        )
    by_sequence = _read_predictions(folder / "predictions.parquet", facts["task"])
    predictions = by_sequence
    if facts.get("unit") == "residue":
        predictions = explode_residues(by_sequence, str(facts.get("ignore") or ""))
    return Run(
        folder=folder.resolve().name,
        facts=facts,
        models={str(model["name"]): model for model in metrics["models"]},
        chosen=str(metrics["chosen"]),
        headline=[str(key) for key in metrics.get("headline") or []],
        predictions=predictions,
        by_sequence=by_sequence,
        history=_read_table(folder / "history.parquet", needed=False),
        audit=_read_table(folder / "audit.csv", needed=False),
        trials=_read_table(folder / "search.parquet", needed=False),
        comparison=metrics.get("comparison") or {},
    )


def parts_in_order(parts: Sequence[str]) -> list[str]:
    """Train, validation, test, and then any others by name."""
    known = [part for part in PART_ORDER if part in parts]
    return known + sorted(set(parts) - set(known))


def estimate(run: Run, model: str, part: str, key: str, label: str = "") -> Estimate | None:
    """A figure of one model on one part (of one label, when named); None where it is undefined."""
    entry = run.models.get(model, {})
    if label:
        found = entry.get("per_label", {}).get(part, {}).get(label, {}).get(key)
    else:
        found = entry.get("parts", {}).get(part, {}).get(key)
    if isinstance(found, dict):
        value, low, high = (found.get(name) for name in ("value", "low", "high"))
    else:
        value, low, high = found, None, None
    if value is None or not math.isfinite(float(value)):
        return None
    unknown = math.nan
    return Estimate(
        float(value),
        unknown if low is None else float(low),
        unknown if high is None else float(high),
    )


def differences(run: Run) -> dict[str, dict[str, Any]]:
    """The paired differences between the chosen model and the baseline on the judged part."""
    fits = run.comparison.get("part") == run.part and run.comparison.get("model") == run.chosen
    return run.comparison["metrics"] if fits else {}


def named_kind(run: Run, kind: str) -> list[str]:
    """Names of the models of a kind (seed, ensemble, mean, baseline), in the order saved."""
    return [name for name, model in run.models.items() if model.get("kind") == kind]


def baseline_name(run: Run) -> str | None:
    """The baseline's name, when the run has one."""
    return next(iter(named_kind(run, "baseline")), None)


def rows_of(run: Run, model: str, part: str) -> pl.DataFrame:
    """The predictions of one model on one part, in input order."""
    found = run.predictions.filter((pl.col("model") == model) & (pl.col("part") == part))
    return found.sort("row", maintain_order=True)


def chosen_rows(run: Run, part: str) -> pl.DataFrame:
    """The predictions of the model in use; of the first that is no baseline if it is not there."""
    rows = rows_of(run, run.chosen, part)
    if not rows.is_empty():
        return rows
    baselines = named_kind(run, "baseline")
    others = run.predictions.filter(~pl.col("model").is_in(baselines))["model"]
    return rows_of(run, others.item(0), part) if len(others) else rows


def threshold(run: Run, label: str = "") -> float | None:
    """The threshold of the chosen model (of one label, when named)."""
    found = run.models.get(run.chosen, {}).get("threshold")
    if isinstance(found, dict):
        found = found.get(label)
    return None if found is None else float(found)


def positive_name(run: Run) -> str:
    """What the positive class is called: its label, or the column's name where the label is "1"."""
    label = str(run.facts.get("positive_label", "1"))
    return name_positive(label, str(run.facts.get("label_column") or label))


def name_positive(label: str, column: str) -> str:
    """A label that says something by itself, else the column that it stands in.

    >>> name_positive("1", "Mitochondrion"), name_positive("mitochondrial", "place")
    ('Mitochondrion', 'mitochondrial')
    """
    return column if label.lower() in PLAIN_POSITIVES else label


def label_name(run: Run, label: str) -> str:
    """How a label is written: "1" and "0" of a column become its name and "not" its name."""
    positive = str(run.facts.get("positive_label", "1"))
    if run.task != "binary" or positive.lower() not in PLAIN_POSITIVES:
        return label
    return positive_name(run) if label == positive else f"not {positive_name(run)}"


def truth_of(run: Run, rows: pl.DataFrame) -> list[frozenset[str]]:
    """The true labels of each row: one for a class, any number for a multi-label task."""
    cells = rows["label"].to_list()
    known = {cell: labels_in(run, cell) for cell in set(cells)}
    return [known[cell] for cell in cells]


def labels_in(run: Run, joined: str) -> frozenset[str]:
    """The labels in one cell; those of a multi-label task are joined by semicolons."""
    if run.task != "multilabel":
        return frozenset([joined])
    return frozenset(name.strip() for name in joined.split(";") if name.strip())


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    if not isinstance(found, dict):
        raise _unreadable(path, ValueError("no JSON object"))
    return found


def _read_predictions(path: Path, task: str) -> pl.DataFrame:
    """The predictions with labels as text, or as numbers in a regression."""
    table = _read_table(path, needed=True)
    assert table is not None
    if "prediction" not in table.columns and "value" in table.columns:
        table = table.with_columns(prediction="value")
    lacking = [name for name in PREDICTION_COLUMNS if name not in table.columns]
    if lacking or table.is_empty():
        raise InputError(
            str(path),
            f"no column {lacking[0]!r}" if lacking else "no rows",
            "the predictions of a run",
            "running `lexome finetune` again",
        )
    kind = pl.Float64 if task == "regression" else pl.String
    labels = table.select(pl.col("label", "prediction").cast(kind))
    if task != "regression":
        labels = labels.fill_null("")  # no label at all, in a multi-label task
    return table.with_columns(labels)


def _read_table(path: Path, needed: bool) -> pl.DataFrame | None:
    if not needed and not path.exists():
        return None
    try:
        if path.suffix == ".csv":
            return pl.read_csv(path, infer_schema_length=None)
        return pl.read_parquet(path)
    except pl.exceptions.NoDataError:  # an empty audit.csv: nothing was found
        return None
    except (OSError, pl.exceptions.PolarsError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> InputError:
    seen = "no such file" if isinstance(error, FileNotFoundError) else f"unreadable ({error})"
    return InputError(
        str(path), seen, "a file that `lexome finetune` wrote", "the directory of a finished run"
    )
