"""Runs that each test another part of one table, judged together by what no fold was trained on."""

# Letters: R resamples, N rows of all folds, M rows of one, K labels.
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lexome.checkpoints.weight_files import read_json
from lexome.errors import InputError
from lexome.evaluation.clusters import similarity_groups
from lexome.evaluation.metrics import METRICS, Task, measure
from lexome.evaluation.paired import judge_difference
from lexome.evaluation.uncertainty import NUM_RESAMPLES, draw_weights, interval
from lexome.evaluation.weighted import weighted_metrics
from lexome.results.files import write_json
from lexome.sequence.alphabet import ALPHABETS, tell_alphabet
from lexome.training.answers import RunAnswers, read_answers
from lexome.training.beside_baseline import plain_numbers
from lexome.training.clean import leaking_ids
from lexome.training.raw_table import Columns, read_raw
from lexome.training.run_folder import Run

KEPT = "folds.json"
POOLED = "all folds"
Figures = dict[str, float]


class Fold(NamedTuple):
    """What one run answered to its test rows."""

    seeds: RunAnswers
    plain: RunAnswers
    limit: NDArray[Any]  # of the mean answer of the seeds, one or (K,)
    leaks_M: NDArray[np.bool_]

    @property
    def mean_M(self) -> NDArray[Any]:
        """The mean answer of the seeds, (M,) or (M, K)."""
        found = np.stack([np.asarray(one) for one in self.seeds.side.predictions])
        return np.asarray(found.mean(0, dtype=np.float64))


class Answers(NamedTuple):
    """One model's answers to some rows, which lie side by side among all."""

    rows: slice
    truth: NDArray[Any]
    found: NDArray[Any]
    limit: Any  # one, one a label, or each row's own


class Judged(NamedTuple):
    """Every metric of a model, and what it is in each resample."""

    point: Figures
    draws: dict[str, NDArray[np.float64]]  # (R,)


def pool_folds(runs: Sequence[Run], table: Path, labels: Sequence[str], folder: Path) -> Run:
    """The runs of all folds, laid out like one run; kept in `folder` and read the next time.

    Among its models are:
    - the mean over folds of the mean over seeds, as cross-validation is published. A resample
      draws groups of similar sequences from the rows of all folds; the mean is taken anew of it;
    - the answers of all folds laid end to end, each row's by the one ensemble that neither learned
      from it nor chose by it. Decisions are by that fold's own thresholds. Where ranks are judged
      (AUROC), scores of several models stand in one order here;
    - the baseline, both ways.

    Args:
        runs: one a fold, finished; of one table and with the same seeds.
        table: what they were trained on.
        labels: its label columns.
        folder: for `folds.json`.

    Raises:
        InputError: a row that is tested by two folds.
    """
    made = [{key: run.facts[key] for key in ("fingerprint", "created")} for run in runs]
    kept = folder / KEPT
    if kept.is_file():
        saved = _read_kept(kept)
        if [{key: one[key] for key in made[0]} for one in saved.facts["folds"]] == made:
            return saved
    folds = [_read_fold(run) for run in runs]
    rows_N = np.concatenate([fold.seeds.rows for fold in folds])
    if len(np.unique(rows_N)) < len(rows_N):
        raise InputError(
            str(folder),
            f"{len(rows_N) - len(np.unique(rows_N)):,} rows that are tested by two folds",
            "each row in one test part",
            "mending the folds of the task",
        )
    facts, metrics = _judge(runs, folds, _group_rows(rows_N, table, labels, runs[0]))
    told = zip(runs, folds, made, strict=True)
    facts["folds"] = [
        {"run": str(run.directory), "rows": len(fold.seeds.rows)} | mark for run, fold, mark in told
    ]
    write_json(kept, {"facts": facts, "metrics": metrics})
    return _read_kept(kept)  # NaN is null there, as in what a run wrote


def _read_kept(path: Path) -> Run:
    saved: dict[str, Any] = dict(read_json(path))
    return Run(path.parent, path, saved["facts"], saved["metrics"])


def _read_fold(run: Run) -> Fold:
    seeds, leaking = read_answers(run.directory), leaking_ids(run)
    chosen = next(m for m in run.metrics["models"] if m["name"] == run.metrics["chosen"])
    limit = chosen["threshold"]  # a dict is in the order of the labels
    limit = list(limit.values()) if isinstance(limit, dict) else limit
    return Fold(
        seeds,
        read_answers(run.directory, kind="baseline"),
        np.array(0.5 if limit is None else limit),
        np.array([id in leaking for id, _ in seeds.keys]),
    )


def _group_rows(
    rows_N: NDArray[np.int64], table: Path, labels: Sequence[str], run: Run
) -> NDArray[np.int64]:
    """Groups over all folds: kin may stand in several, as no split keeps all of it together."""
    raw = read_raw(table, Columns(run.facts["columns"]["sequence"], labels))
    sequences = [raw.sequences[row - 1] for row in rows_N]
    return similarity_groups(sequences, ALPHABETS[tell_alphabet(sequences)].kmers)


def _judge(
    runs: Sequence[Run], folds: Sequence[Fold], group_N: NDArray[np.int64]
) -> tuple[dict[str, Any], dict[str, Any]]:
    task, name = folds[0].seeds.task, _plain_name(runs[0])
    ends = np.cumsum([len(fold.seeds.rows) for fold in folds])
    places = [slice(end - len(f.seeds.rows), end) for end, f in zip(ends, folds, strict=True)]
    ours = [_of_run(fold.seeds, place) for fold, place in zip(folds, places, strict=True)]
    plain = [_of_run(fold.plain, place) for fold, place in zip(folds, places, strict=True)]
    mean = [
        Answers(place, fold.seeds.truth, fold.mean_M, fold.limit)
        for fold, place in zip(folds, places, strict=True)
    ]
    models: dict[str, list[Answers]] = {
        "mean": [one for fold in ours for one in fold],
        "baseline": [one for fold in plain for one in fold],
        POOLED: [_join(mean)],
        f"{POOLED}, baseline": [_join([one for fold in plain for one in fold])],
    }
    found = _measure(task, models, group_N)
    num = len(folds[0].seeds.side.predictions)
    named = (
        (f"mean over {len(folds)} folds of {num} seeds", "mean", "mean"),
        (POOLED, "ensemble", POOLED),
        (name, "baseline", "baseline"),
        (f"{name}, {POOLED}", "pooled baseline", f"{POOLED}, baseline"),
    )
    entries = [_entry(called, kind, found[key]) for called, kind, key in named]
    for entry, each in ((entries[0], ours), (entries[2], plain)):
        entry["by_fold"] = [_points(task, fold) for fold in each]
    leaks_N = np.concatenate([fold.leaks_M for fold in folds])
    clean = [
        {"name": called, "clean": _clean(task, models[key][0], leaks_N)}
        for called, kind, key in named
        if kind in ("ensemble", "pooled baseline")
    ]
    facts = {
        "seeds": runs[0].facts["seeds"],
        "groups": len(np.unique(group_N)),
        "clean": {"rows": len(leaks_N), "leaked": int(leaks_N.sum()), "models": clean},
    }
    metrics = {
        "models": entries,
        "chosen": POOLED,
        "headline": runs[0].metrics["headline"],
        "comparison": {
            "model": POOLED,
            "baseline": name,
            "metrics": _compare(task, found[POOLED], found[f"{POOLED}, baseline"]),
        },
    }
    return facts, metrics


def _plain_name(run: Run) -> str:
    return str(next(m["name"] for m in run.metrics["models"] if m["kind"] == "baseline"))


def _of_run(run: RunAnswers, place: slice) -> list[Answers]:
    """One a seed."""
    limits = run.side.thresholds or []
    both = zip(run.side.predictions, limits, strict=True)
    return [Answers(place, run.truth, np.asarray(found), limit) for found, limit in both]


def _join(folds: Sequence[Answers]) -> Answers:
    """The answers of all folds end to end, each with the threshold of its own fold."""
    limits = [np.broadcast_to(np.asarray(one.limit), one.found.shape) for one in folds]
    return Answers(
        slice(0, folds[-1].rows.stop),
        np.concatenate([one.truth for one in folds]),
        np.concatenate([one.found for one in folds]),
        np.concatenate(limits),
    )


def _points(task: Task, answers: Sequence[Answers]) -> Figures:
    """Each metric's mean over answers."""
    found = [measure(task, one.truth, one.found, one.limit).overall for one in answers]
    return {name: float(np.mean([one[name] for one in found])) for name in found[0]}


def _measure(
    task: Task, models: Mapping[str, Sequence[Answers]], group_N: NDArray[np.int64]
) -> dict[str, Judged]:
    """All models by the same draws of groups."""
    drawn: dict[str, list[Figures]] = {name: [] for name in models}
    functions = {
        name: [(one.rows, weighted_metrics(task, one.truth, one.found, one.limit)) for one in some]
        for name, some in models.items()
    }
    for weights_RN in draw_weights(len(group_N), group_N, 0, NUM_RESAMPLES):
        for name, some in functions.items():
            values = [apply(weights_RN[:, rows])[0] for rows, apply in some]
            drawn[name].append({m: np.mean([one[m] for one in values], axis=0) for m in values[0]})
    return {
        name: Judged(
            _points(task, models[name]),
            {m: np.concatenate([block[m] for block in blocks]) for m in blocks[0]},
        )
        for name, blocks in drawn.items()
    }


def _entry(name: str, kind: str, found: Judged) -> dict[str, Any]:
    figures = {m: interval(value, found.draws[m]) for m, value in found.point.items()}
    test = {m: plain_numbers(one._asdict()) for m, one in figures.items()}
    return {"name": name, "kind": kind, "threshold": None, "parts": {"test": test}}  # of each fold


def _compare(task: Task, ours: Judged, theirs: Judged) -> dict[str, Any]:
    """Paired: the same groups were drawn for both."""
    return {
        name: plain_numbers(
            judge_difference(
                ours.point[name] - theirs.point[name],
                ours.draws[name] - theirs.draws[name],
                kind.better,
            )._asdict()
        )
        for name, kind in METRICS[task].items()
        if kind.better != "neither"
    }


def _clean(task: Task, answers: Answers, leaks_N: NDArray[np.bool_]) -> Figures:
    """Each metric on the rows without a copy in training or validation of their fold."""
    kept = ~leaks_N
    if not kept.any():
        return {}
    return measure(task, answers.truth[kept], answers.found[kept], answers.limit[kept]).overall
