"""What a run writes down: metrics with intervals, predictions, history, audit, provenance."""

import math
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import ArrayLike, NDArray

from lexome import __version__
from lexome.devices import num_cores
from lexome.evaluation.kmer_sets import KmerAlphabet
from lexome.evaluation.metrics import is_collapsed
from lexome.evaluation.pair_groups import ROWS_DRAWN, bootstrap_groups
from lexome.results.files import write_json
from lexome.results.residue_rows import as_lists, as_texts
from lexome.results.tables import write_table
from lexome.results.types import Audit, Estimate, Estimates
from lexome.sequence.pairs import Content, letters_of
from lexome.training.beside_baseline import Groups
from lexome.training.fit import Parts, or_half
from lexome.training.fitted import Threshold, decide_labels, truth_labels
from lexome.training.judged import Judged
from lexome.training.labelled import LabelledTable
from lexome.training.recipes import TrainRecipe
from lexome.training.target import Target
from lexome.training.task_record import collapsed_tasks, join_entries, judged_task, task_frame
from lexome.training.units import UNITS


def held_out_groups(parts: Parts, sequences: Sequence[Content], alphabet: KmerAlphabet) -> Groups:
    """The similarity group of each validation and test row, part by part."""
    return {
        part: bootstrap_groups([sequences[i] for i in rows], alphabet)
        for part, rows in (("validation", parts.validation), ("test", parts.test))
        if len(rows)
    }


def judge_all(
    target: Target,
    parts: Parts,
    judged: list[Judged],
    groups: Groups,
) -> list[dict[str, Any]]:
    """Every model's metrics on validation and test with 95 % intervals over similarity groups."""
    if not target.subs:
        return _judge_target(target, parts, judged, groups)
    each = [
        _judge_target(sub, parts, judged_task(target, judged, index), groups)
        for index, sub in enumerate(target.subs)
    ]
    return join_entries(target, each)


def _judge_target(
    target: Target, parts: Parts, judged: list[Judged], groups: Groups
) -> list[dict[str, Any]]:
    rows_of = {"validation": parts.validation, "test": parts.test}

    def measured(models: list[Judged]) -> dict[str, Estimates]:
        """The metrics of a model, or their mean over several."""
        found = {}
        for part, rows in rows_of.items():
            if part not in groups:
                continue
            answers = [model.answers[part] for model in models]
            truth, *answers = target.judged(rows, *answers)
            limits = [or_half(model.threshold) for model in models]
            group = target.per_answer(rows, groups[part])
            found[part] = UNITS[target.unit].intervals(target.kind, truth, answers, limits, group)
        return found

    entries = []
    for model in judged:
        entry = _entry(model.name, model.kind, model.threshold, measured([model]), target)
        entry["collapsed"] = {
            part: _has_collapsed(target, model, part, rows_of[part]) for part in groups
        }
        entries.append(entry)
    seeds = [model for model in judged if model.kind == "seed"]
    if len(seeds) > 1:
        name = f"mean of {len(seeds)} seeds"
        entries.insert(len(seeds), _entry(name, "mean", None, measured(seeds), target))
    return entries


def write_predictions(
    path: Path,
    table: LabelledTable,
    parts: Parts,
    judged: list[Judged],
    chosen: str,
    notes: dict[str, Any],
) -> None:
    """A long table: a row for each held-out sequence from the chosen model and the baseline."""
    target = table.target
    truth = np.array([] if target.subs else truth_labels(target), dtype=object)
    frames = []
    for model in (m for m in judged if m.name == chosen or m.kind == "baseline"):
        for part, rows in (("validation", parts.validation), ("test", parts.test)):
            if not len(rows):
                continue
            found = model.answers[part]
            lengths, sequences = None, {}
            if target.residues is not None:
                lengths = target.residues.lengths[rows]
                sequences = {"sequence": [table.sequences[i] for i in rows]}
            shared: dict[str, Any] = {
                "model": [model.name] * len(rows),
                "row": table.rows[rows],
                "id": [table.ids[i] for i in rows],
                "part": [part] * len(rows),
                **length_columns([table.sequences[i] for i in rows]),
                **sequences,
            }
            if target.subs:
                made = (truth_labels, answers_of)
                frames.append(task_frame(target, rows, shared, model, part, *made))
                continue
            limit, exact = model.threshold, target.is_far
            frame = {
                **shared,
                "label": truth[rows].tolist(),
                **answers_of(target.task, target.labels, found, limit, lengths, exact),
            }
            frames.append(pl.DataFrame(frame))
    write_table(pl.concat(frames, how="diagonal"), path, notes)


def answers_of(
    task: str,
    labels: tuple[str, ...],
    found: NDArray[Any],
    threshold: Threshold,
    lengths: NDArray[np.int64] | None = None,
    exact: bool = False,
) -> dict[str, Any]:
    """The numbers of `answer_columns` and the prediction, a row a sequence.

    Where residues are answered, `lengths` are how many each row has: its numbers are lists then,
    and its prediction is a text of one letter a residue.
    """
    columns: dict[str, Any] = dict(answer_columns(task, labels, found, exact))
    called = decide_labels(task, labels, found, threshold, exact)
    if lengths is not None:
        columns = {name: as_lists(values, lengths) for name, values in columns.items()}
        called = as_texts(called, lengths)
    return columns | {"prediction": called}


def length_columns(contents: Sequence[Content]) -> dict[str, list[int]]:
    """The length of each sequence, of pairs of both."""
    lengths = zip(*([len(s) for s in letters_of(content)] for content in contents), strict=True)
    return dict(zip(("length", "second_length"), map(list, lengths), strict=False))


def answer_columns(
    task: str, labels: tuple[str, ...], found: NDArray[Any], exact: bool = False
) -> dict[str, NDArray[np.float64]]:
    """The numbers of a prediction as columns: value, probability, or one probability a label.

    They are rounded to what can be read; whatever decides or compares takes them before. With
    `exact` they are not: of numbers that lie far from 0, 6 digits would all be the same.
    """
    values = np.asarray(found, np.float64) if exact else round_figures(found)
    if task == "regression":
        return {"value": values}
    if task == "binary":
        return {"probability": values}
    return {f"probability_{label}": values[:, k] for k, label in enumerate(labels)}


def round_figures(values: ArrayLike) -> NDArray[np.float64]:
    """Numbers to 6 significant digits.

    >>> round_figures([0.12345678901, 1 / 3 * 1e-9]).tolist()
    [0.123457, 3.33333e-10]
    """
    exact = np.asarray(values, np.float64)
    return np.array([float(f"{value:.6g}") for value in exact.ravel()]).reshape(exact.shape)


def write_split(path: Path, table: LabelledTable, parts: Parts, notes: dict[str, Any]) -> None:
    """The part of every row that was kept."""
    names = np.full(len(table.ids), "unused", dtype=object)
    for part in parts._fields:
        names[getattr(parts, part)] = part
    frame = pl.DataFrame({"row": table.rows, "id": table.ids, "part": names.tolist()})
    write_table(frame, path, notes)


def write_audit(path: Path, audit: Audit, notes: dict[str, Any]) -> None:
    """The pairs of (nearly) equal sequences that stand in different parts."""
    columns = ["part_a", "id_a", "part_b", "id_b", "similarity", "same_label"]
    rows = [{name: getattr(pair, name) for name in columns} for pair in audit.pairs]
    types = dict.fromkeys(columns, pl.String) | {
        "similarity": pl.Float64,
        "same_label": pl.Boolean,
    }
    write_table(pl.DataFrame(rows, schema=types), path, notes)


def write_history(path: Path, history: list[dict[str, Any]], notes: dict[str, Any]) -> None:
    """Two rows for each seed and epoch, one a part; `best` marks the epoch that was kept."""
    rows = []
    for entry in history:
        where = {name: entry[name] for name in ("seed", "epoch", "step", "seconds")}
        validation = {k: v for k, v in entry.items() if k not in where and k != "train_loss"}
        rows.append(where | {"part": "train", "loss": entry["train_loss"], "best": False})
        rows.append(where | {"part": "validation"} | validation)
    write_table(pl.DataFrame(rows, infer_schema_length=None), path, notes)


def write_metrics(
    path: Path,
    entries: list[dict[str, Any]],
    chosen: str,
    headline: list[str],
    comparison: dict[str, Any],
) -> None:
    """metrics.json: every model, which one `lexome predict` uses, and it beside the baseline."""
    named = {"chosen": chosen, "headline": headline, "comparison": comparison}
    write_json(path, {"models": entries, **named})


def describe_audit(audit: Audit) -> dict[str, Any]:
    """Counts of copies between parts, as the report wants them."""
    between = {f"{o.part_a}-{o.part_b}": o for o in audit.overlaps}
    return {
        "exact": {name: overlap.exact for name, overlap in between.items()},
        "near": {name: overlap.near for name, overlap in between.items()},
        "conflicts": {name: overlap.conflicts for name, overlap in between.items()},
        "same_pairs": dict(zip(between, audit.same_pairs or [], strict=False)),
        "similarity": audit.similarity,
        "file": "audit.csv",
    }


def describe_balance(target: Target, parts: Parts) -> dict[str, Any]:
    """How many rows (or residues) of each label every part holds; a histogram for real values."""
    found: dict[str, Any] = {}
    if target.subs:
        both = list(zip(target.labels, target.subs, strict=True))
        return {
            part: {name: len(sub.truth(rows)) for name, sub in both}
            for part, rows in parts._asdict().items()
        }
    edges = np.histogram_bin_edges(target.values, 30) if target.task == "regression" else None
    for part, rows in parts._asdict().items():
        values = target.truth(rows)
        if edges is not None:
            counts = np.histogram(values, edges)[0]
            found[part] = {"edges": edges.tolist(), "counts": counts.tolist()}
        elif target.task == "multilabel":
            found[part] = dict(zip(target.labels, values.sum(0).tolist(), strict=True))
        else:
            counts = np.bincount(values, minlength=len(target.labels))
            found[part] = dict(zip(target.labels, counts.tolist(), strict=True))
    return found


def describe_environment() -> dict[str, Any]:
    """Versions and machine, for provenance."""
    return {
        "lexome": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "platform": platform.platform(),
        "cores": num_cores(),
        "threads": torch.get_num_threads(),
    }


def find_warnings(
    target: Target,
    parts: Parts,
    judged: list[Judged],
    split_is_random: bool,
    recipe: TrainRecipe,
    drawn: str = "groups",
) -> list[str]:
    """What a reader must know before believing the figures."""
    found = []
    if split_is_random:
        found.append(
            "The split is random: similar sequences may stand on both sides, so these figures are "
            "likely better than what new families will see."
        )
    if not len(parts.test):
        found.append("There is no test part: the figures are those of the validation rows.")
    if drawn == "rows":
        found.append(ROWS_DRAWN)
    if why := why_not_calibrated(target.task, recipe):
        found.append(why)
    part = "test" if len(parts.test) else "validation"
    for model in judged:
        if target.subs:
            names = collapsed_tasks(target, model, part, getattr(parts, part), _has_collapsed)
            found += [f"{model.name} gives one answer of {name} to all." for name in names]
        elif _has_collapsed(target, model, part, getattr(parts, part)):
            found.append(
                f"{model.name} has collapsed: one answer to (nearly) every {target.unit} of the "
                f"{part} part, so its figures say nothing of the method. A smaller learning rate, "
                "more epochs or --class-weights balanced may help."
            )
    return found


def _has_collapsed(target: Target, model: Judged, part: str, rows: NDArray[np.int64]) -> bool:
    limit, truth = or_half(model.threshold), target.truth(rows)
    return is_collapsed(target.kind, model.answers[part], limit, truth=truth)


def why_not_calibrated(task: str, recipe: TrainRecipe) -> str:
    """Why probabilities are none to be taken at their word; empty where nothing is known."""
    if recipe.loss == "focal" and recipe.focal_gamma:
        return (
            "Trained with focal loss: it ranks and decides, but its probabilities are drawn to the "
            "middle and are not calibrated; `lexome calibrate` makes ones that are."
        )
    if recipe.class_weights == "balanced" and task in ("multiclass", "multilabel"):
        return (
            "Trained with balanced class weights: probabilities are those of a world in which all "
            "classes are as frequent; `lexome calibrate` makes ones for the data as they are."
        )
    return ""


def _entry(
    name: str, kind: str, threshold: Threshold, estimates: dict[str, Estimates], target: Target
) -> dict[str, Any]:
    limits: Any = threshold
    if isinstance(threshold, list):
        limits = dict(zip(target.labels, threshold, strict=True))
    entry: dict[str, Any] = {"name": name, "kind": kind, "threshold": limits}
    entry["parts"] = {part: _plain(found.overall) for part, found in estimates.items()}
    if target.task in ("multiclass", "multilabel"):
        entry["per_label"] = {
            part: {
                label: _plain(values)
                for label, values in zip(target.labels, found.per_label, strict=True)
            }
            for part, found in estimates.items()
        }
    return entry


def _plain(estimates: dict[str, Estimate]) -> dict[str, dict[str, float | None]]:
    """Estimates as JSON: NaN is null."""
    return {
        name: {k: (v if math.isfinite(v) else None) for k, v in estimate._asdict().items()}
        for name, estimate in estimates.items()
    }
