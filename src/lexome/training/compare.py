"""Several runs judged on the same test rows: figures, paired differences, ties declared."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from lexome.errors import InputError
from lexome.evaluation.metrics import METRICS
from lexome.evaluation.multiplicity import holm
from lexome.evaluation.pair_groups import ROWS_DRAWN, are_rows_drawn, or_rows
from lexome.evaluation.paired import Side, compare_paired
from lexome.evaluation.uncertainty import mean_over_seeds
from lexome.results.types import Estimate
from lexome.training.answers import RunAnswers, read_answers
from lexome.training.units import UNITS

ALPHA = 0.05
TEXTS = ("run", "metric", "against", "verdict")


class Comparison(NamedTuple):
    """What `compare` finds."""

    table: pl.DataFrame  # a row for each run and metric
    reference: str
    headline: list[str]
    task: str
    rows: int  # test rows that all runs were judged on
    groups: int  # of similar sequences among them
    left_out: dict[str, int]  # run -> test rows of its own that another has not
    notes: list[str]


def compare(
    runs: Sequence[str | Path],
    *,
    labels: Sequence[str] | None = None,
    reference: str | None = None,
    shared: bool = False,
) -> Comparison:
    """Compare finished runs of `finetune` on the same test rows, pair by pair with one of them.

    A run's figure is the mean over its seeds. Differences are paired: each resample draws the same
    groups of similar sequences for both runs, and seeds of either. P values are corrected by Holm
    for the number of runs, metric by metric. A run is better or worse where the interval of the
    difference leaves out 0 and the corrected p is below 0.05; else the two are a tie.

    Args:
        runs: directories, at least two.
        labels: a name for each; else the directories' own.
        reference: the name that all others are compared with; else the first.
        shared: compare on the test rows that all have, where they are not the same.

    Raises:
        InputError: runs of other tasks or labels, or with other test rows.
    """
    names = _names(runs, labels)
    chosen = names[0] if reference is None else reference
    if chosen not in names:
        raise InputError("reference", repr(chosen), "one of " + ", ".join(names), names[0])
    found = [read_answers(run) for run in runs]
    for name, run in zip(names[1:], found[1:], strict=True):
        _check_alike(names[0], found[0], name, run)
    kept = _shared_rows(names, found, shared)
    sides = [_pick(run, rows) for run, rows in zip(found, kept, strict=True)]
    task, truth, group_N = found[0].task, found[0].truth[kept[0]], or_rows(found[0].groups[kept[0]])
    if len(np.unique(truth, axis=0)) < 2:
        raise InputError("shared rows", "one label only", "at least two", "runs of one split")
    against = sides[names.index(chosen)]
    metrics = [name for name, kind in METRICS[task].items() if kind.better != "neither"]
    rows: list[dict[str, Any]] = []
    for name, side in zip(names, sides, strict=True):
        limits = list(side.thresholds or [])
        figures = mean_over_seeds(task, truth, side.predictions, limits, group_N).overall
        apart = compare_paired(task, truth, side, against, group_N) if name != chosen else None
        for metric in metrics:
            row = {"run": name, "metric": metric, **_interval(figures[metric])}
            if apart:
                one = apart[metric]
                row |= {"difference": one.difference, "low_difference": one.low}
                row |= {"high_difference": one.high, "p": one.p, "verdict": one.verdict}
            rows.append(row | {"against": chosen if apart else None})
    table = _corrected(rows, metrics).with_columns(count=pl.lit(len(truth)))
    left_out = {n: len(r.keys) - len(k) for n, r, k in zip(names, found, kept, strict=True)}
    headline = UNITS["sequence"].headline[task]
    groups = len(np.unique(group_N))
    notes = _notes(names, found, groups, are_rows_drawn(group_N))
    return Comparison(table, chosen, headline, task, len(truth), groups, left_out, notes)


def _names(runs: Sequence[str | Path], labels: Sequence[str] | None) -> list[str]:
    if len(runs) < 2:
        raise InputError("runs", f"{len(runs)}", "at least two to compare", "naming another run")
    names = list(labels) if labels else [Path(run).resolve().name for run in runs]
    if not labels and len(set(names)) < len(names):
        names = [str(run) for run in runs]
    if len(names) != len(runs):
        seen = f"{len(names)} labels for {len(runs)} runs"
        raise InputError("label", seen, "one a run, in their order", "`--label` for each")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError("label", f"{twice!r} twice", "a name of its own for each", "`--label`")
    return names


def _check_alike(name: str, first: RunAnswers, other: str, run: RunAnswers) -> None:
    for what, one, two in (
        ("task", first.task, run.task),
        ("labels", ", ".join(first.labels), ", ".join(run.labels)),
    ):
        if one != two:
            raise InputError(
                f"run {other}",
                f"the {what} {two}",
                f"those of {name}: {one}",
                "comparing runs that answer the same question",
            )


def _shared_rows(
    names: Sequence[str], found: Sequence[RunAnswers], shared: bool
) -> list[list[int]]:
    """The rows of each run that all have, in the order of the first."""
    common = set(found[0].keys).intersection(*(run.keys for run in found[1:]))
    for name, run in zip(names, found, strict=True):
        if len(common) < len(run.keys) and (not shared or not common):
            raise InputError(
                f"run {name}",
                f"{len(run.keys):,} test rows, of which {len(common):,} are in every run",
                "the same test rows (id and sequence) in all runs",
                f"`--shared` to compare on these {len(common):,}"
                if common
                else "runs of one table and split",
            )
    places = [{key: row for row, key in enumerate(run.keys)} for run in found]
    order = [key for key in found[0].keys if key in common]
    kept = [[place[key] for key in order] for place in places]
    for name, run, rows in zip(names[1:], found[1:], kept[1:], strict=True):
        other_N = (run.truth[rows] != found[0].truth[kept[0]]).reshape(len(order), -1).any(axis=1)
        if other_N.any():
            raise InputError(
                f"run {name}",
                f"another label for {order[int(other_N.argmax())][0]}"
                f" ({int(other_N.sum()):,} rows in all)",
                f"those of {names[0]}",
                "runs of one table",
            )
    return kept


def _pick(run: RunAnswers, rows: list[int]) -> Side:
    predictions = [np.asarray(found)[rows] for found in run.side.predictions]
    return Side(predictions, run.side.thresholds)


def _interval(found: Estimate) -> dict[str, float]:
    return {"estimate": found.value, "low": found.low, "high": found.high}


def _corrected(rows: list[dict[str, Any]], metrics: Sequence[str]) -> pl.DataFrame:
    """Holm within each metric; what is not below 0.05 then is a tie."""
    for metric in metrics:
        tested = [row for row in rows if row["metric"] == metric and row["against"]]
        for row, p in zip(tested, holm([row["p"] for row in tested]), strict=True):
            row["p_holm"] = float(p)
            if p >= ALPHA and row["verdict"] in ("better", "worse"):
                row["verdict"] = "tie"
    columns = [
        *("run", "metric", "estimate", "low", "high", "against", "difference"),
        *("low_difference", "high_difference", "p", "p_holm", "verdict"),
    ]
    types = {name: pl.String if name in TEXTS else pl.Float64 for name in columns}
    return pl.DataFrame([{name: row.get(name) for name in columns} for row in rows], types)


def _notes(
    names: Sequence[str], found: Sequence[RunAnswers], groups: int, by_rows: bool
) -> list[str]:
    few = [n for n, run in zip(names, found, strict=True) if len(run.side.predictions) < 3]
    notes = []
    if few:
        said = "has" if len(few) == 1 else "have"
        notes.append(
            f"{', '.join(few)} {said} fewer than three seeds: how much training again would change "
            "is not known of them."
        )
    if by_rows:
        notes.append(ROWS_DRAWN)
    elif groups < 30:
        notes.append(f"Only {groups} groups of similar sequences: intervals are too narrow.")
    for name, run in zip(names, found, strict=True):
        for entry in run.run.metrics["models"]:
            if entry["kind"] == "seed" and (entry.get("collapsed") or {}).get("test"):
                notes.append(f"{name}: {entry['name']} has collapsed to one answer.")
    return notes
