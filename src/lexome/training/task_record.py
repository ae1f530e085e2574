"""What a run of several tasks writes down: each task's figures, answers and balance."""

# Letters: N rows, C numbers of all tasks.
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lexome.training.judged import Judged
from lexome.training.target import Target
from lexome.training.tasks import number_columns, sub_answers
from lexome.training.units import UNITS


def headline_of(target: Target) -> list[str]:
    """The metrics that matter most; of several tasks the first one of each, as "task.metric"."""
    if not target.subs:
        return UNITS[target.unit].headline[target.task]
    whole = UNITS["sequence"].headline
    both = zip(target.labels, target.subs, strict=True)
    return [f"{name}.{whole[sub.task][0]}" for name, sub in both]


def judged_task(target: Target, judged: Sequence[Judged], index: int) -> list[Judged]:
    """The models' answers to one of several tasks."""
    found = []
    for model in judged:
        answers = {p: sub_answers(target, all_N)[index][2] for p, all_N in model.answers.items()}
        limits = model.threshold
        limit = limits[index] if isinstance(limits, list) else limits
        if target.subs[index].task != "binary":
            limit = None
        found.append(Judged(model.name, model.kind, answers, limit))
    return found


def join_entries(target: Target, each: Sequence[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Entries of metrics.json of several tasks: all figures as "task.metric", and each task's."""
    joined = []
    for entries in zip(*each, strict=True):
        named = dict(zip(target.labels, entries, strict=True))
        parts: dict[str, dict[str, Any]] = {}
        for name, entry in named.items():
            for part, figures in entry["parts"].items():
                with_name = {f"{name}.{metric}": value for metric, value in figures.items()}
                parts.setdefault(part, {}).update(with_name)
        limits = {name: entry["threshold"] for name, entry in named.items()}
        known = {name: limit for name, limit in limits.items() if limit is not None}
        first = entries[0]
        own = {
            name: {key: value for key, value in entry.items() if key not in ("name", "kind")}
            for name, entry in named.items()
        }
        joined.append(
            {"name": first["name"], "kind": first["kind"], "threshold": known or None}
            | {"parts": parts, "tasks": own}
        )
    return joined


def task_frame(
    target: Target,
    rows: NDArray[np.int64],
    shared: Mapping[str, Sequence[Any]],
    model: Judged,
    part: str,
    texts: Callable[[Target], list[str]],
    answers_of: Callable[..., dict[str, Any]],
) -> pl.DataFrame:
    """Predictions of a model, a row for each task and each sequence that has its label."""
    frames = []
    for index, (name, sub) in enumerate(zip(target.labels, target.subs, strict=True)):
        assert sub.known is not None
        here = np.flatnonzero(sub.known[rows]).tolist()
        one = judged_task(target, [model], index)[0]
        truth = np.array(texts(sub), dtype=object)[rows][here].tolist()
        found = one.answers[part][here]
        answers = answers_of(sub.task, sub.labels, found, one.threshold, exact=sub.is_far)
        columns = {key: [values[i] for i in here] for key, values in shared.items()}
        frames.append(
            pl.DataFrame({**columns, "task": [name] * len(here), "label": truth, **answers})
        )
    return pl.concat(frames, how="diagonal")


def wide_columns(
    names: Sequence[str],
    kinds: Sequence[tuple[str, tuple[str, ...], bool]],
    blocks: Sequence[NDArray[Any]],
    thresholds: Sequence[float],
    answers_of: Callable[..., dict[str, Any]],
) -> dict[str, Any]:
    """What `predict` writes: columns for each task, in their order.

    Args:
        names: of the tasks.
        kinds: task and labels of each, and whether its numbers are not rounded.
        blocks: answers to each.
        thresholds: one a task; ignored where nothing is decided.
        answers_of: makes the columns of one.
    """
    columns: dict[str, Any] = {}
    for name, kind, found, limit in zip(names, kinds, blocks, thresholds, strict=True):
        task, labels, exact = kind
        made = answers_of(task, labels, found, limit, exact=exact)
        called = made.pop("prediction")
        if task == "regression":
            columns[f"prediction_{name}"] = made["value"]
            continue
        if task == "binary":
            written = [made["probability"], np.full(len(found), float(f"{limit:.6g}"))]
        else:
            written = list(found.T)
        columns |= zip(number_columns(name, task, labels), written, strict=True)
        columns[f"prediction_{name}"] = called
    return columns


def describe_tasks(target: Target) -> list[dict[str, Any]]:
    """Name, kind and classes of each task, for run.json; none of a single one."""
    if not target.subs:
        return []
    return [
        {
            "name": name,
            "task": sub.task,
            "labels": list(sub.labels),
            "labelled": int(np.asarray(sub.known).sum()),
        }
        for name, sub in zip(target.labels, target.subs, strict=True)
    ]


def collapsed_tasks(
    target: Target,
    model: Judged,
    part: str,
    rows: NDArray[np.int64],
    has_collapsed: Callable[..., bool],
) -> list[str]:
    """The tasks to which a model gives everyone the same answer."""
    found = []
    for index, (name, sub) in enumerate(zip(target.labels, target.subs, strict=True)):
        one = judged_task(target, [model], index)[0]
        if has_collapsed(sub, one, part, rows):
            found.append(name)
    return found
