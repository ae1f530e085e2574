"""Several label columns of different kinds, learned at once: which kinds, and who has which."""

# Letters: N rows, K tasks.
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lexome.errors import InputError
from lexome.training.target import Target, is_missing, read_target, spell

MULTITASK = "multitask"
KINDS = ("auto", "binary", "multiclass", "regression")


def is_multitask(task: str) -> bool:
    """Whether a task asks for several: "multitask", or kinds by column ("Mito=binary,pI=auto")."""
    return task == MULTITASK or "=" in task


def task_kinds(task: str) -> dict[str, str]:
    """The kind of each column that is named.

    >>> task_kinds("Mito=binary, pI=regression"), task_kinds("multitask")
    ({'Mito': 'binary', 'pI': 'regression'}, {})
    """
    if task == MULTITASK:
        return {}
    kinds = {}
    for item in task.split(","):
        name, _, kind = (part.strip() for part in item.rpartition("="))
        if not name or kind not in KINDS:
            raise InputError(
                "task",
                repr(item.strip()),
                f"COLUMN={'|'.join(KINDS)}, with commas between",
                "`--task Mito=binary,pI=regression`, or `--task multitask` to guess",
            )
        kinds[name] = kind
    return kinds


def label_columns(labels: Sequence[str] | None, task: str) -> Sequence[str] | None:
    """The columns to read: those asked for, or those that the task names.

    Raises:
        InputError: fewer than two, one twice, a name that `--task` cannot spell, or a kind for a
            column that is no label.
    """
    kinds = task_kinds(task) if is_multitask(task) else {}
    names = list(labels or kinds)
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise InputError("label", f"{twice!r} twice", "each column once", f"`--label {twice}`")
    if not is_multitask(task):
        return labels
    if spelled := next((name for name in names if set(name) & set(",=")), None):
        raise InputError(
            "label",
            f"{spelled!r} with --task {MULTITASK}",
            "names without , and =, by which `--task` tells columns and kinds apart",
            "another name in the table",
        )
    strange = sorted(set(kinds) - set(names))
    if strange:
        raise InputError(
            "task",
            f"a kind for {strange[0]!r}, which is no label",
            ", ".join(names),
            f"`--label {strange[0]}` besides, or without it",
        )
    if len(set(names)) < max(len(names), 2):
        raise InputError(
            "task",
            f"{task} with the columns {', '.join(names) or 'none'}",
            "two or more different ones",
            "`--label COLUMN` for each",
        )
    return names


def fill_labels(keys: Sequence[object], labels: Sequence[Sequence[str]]) -> list[list[str]]:
    """Labels in which copies of a sequence tell each other what they lack ("" is missing).

    Copies that contradict each other stay as they are.

    >>> fill_labels(["A", "A", "B"], [["1", ""], ["", "2.5"], ["0", ""]])
    [['1', '2.5'], ['1', '2.5'], ['0', '']]
    """
    known: dict[object, list[set[str]]] = {}
    for key, row in zip(keys, labels, strict=True):
        found = known.setdefault(key, [set() for _ in row])
        for column, label in zip(found, row, strict=True):
            column.update([label] if label else [])
    filled = []
    for key, row in zip(keys, labels, strict=True):
        at_hand = known[key]
        if any(len(column) > 1 for column in at_hand):
            filled.append(list(row))
        else:
            filled.append([next(iter(column), "") for column in at_hand])
    return filled


def contradict(rows: Sequence[Sequence[str]]) -> bool:
    """Whether copies of one sequence have different labels in some column."""
    return any(len({label for label in column if label}) > 1 for column in zip(*rows, strict=True))


def spell_known(value: object) -> str:
    """A label as text; "" where there is none."""
    return "" if is_missing(value) else spell(value)


def read_tasks(
    columns: Sequence[Sequence[str]],
    names: Sequence[str],
    task: str,
    positive: str | None,
    rows: Sequence[int] | None = None,
) -> Target:
    """A target of several tasks: `values` (N, K) with NaN where a row has no label.

    Args:
        columns: the label columns as text, "" where a label is missing.
        names: what the columns are called.
        task: "multitask", or kinds by column.
        positive: refused: each task has its own.
        rows: row numbers for messages, 1-based.
    """
    if positive is not None:
        raise InputError(
            "positive", repr(positive), "none: each binary task has its own", "labels of 0 and 1"
        )
    kinds = task_kinds(task)
    subs = []
    for name, column in zip(names, columns, strict=True):
        known_N = np.array([bool(label) for label in column])
        some = np.flatnonzero(known_N).tolist()
        places = [rows[i] for i in some] if rows is not None else None
        kind = kinds.get(name, "auto")
        if not len(some):
            raise InputError(f"label column {name!r}", "no label", "some rows with one", "another")
        one = read_target([[column[i] for i in some]], [name], kind, None, places)
        values = np.zeros(len(column), one.values.dtype)
        values[some] = one.values
        subs.append(one._replace(values=values, known=known_N))
    _check_outputs(names, subs)
    return join_tasks(names, subs)


def number_columns(name: str, task: str, labels: Sequence[str]) -> list[str]:
    """The columns that `predict` writes of a task beside its prediction.

    >>> number_columns("site", "multiclass", ["a", "b"]), number_columns("pI", "regression", [])
    (['probability_site_a', 'probability_site_b'], [])
    """
    if task == "binary":
        return [f"probability_{name}", f"threshold_{name}"]
    return [f"probability_{name}_{label}" for label in labels]


def _check_outputs(names: Sequence[str], subs: Sequence[Target]) -> None:
    """Refuse tasks of which one would overwrite what is written of another."""
    owner: dict[str, str] = {}
    for name, sub in zip(names, subs, strict=True):
        for column in number_columns(name, sub.task, sub.labels):
            if column in owner:
                raise InputError(
                    "label columns",
                    f"{owner[column]!r} and {name!r}, whose answers would both be {column!r}",
                    "names that differ together with those of the classes",
                    "another name for one of them",
                )
            owner[column] = name


def join_tasks(names: Sequence[str], subs: Sequence[Target]) -> Target:
    """One target of several."""
    columns = [
        np.where(sub.known, sub.values.astype(np.float64), np.nan)
        for sub in subs
        if sub.known is not None
    ]
    guessed = any(sub.guessed for sub in subs)
    return Target("multitask", tuple(names), np.stack(columns, 1), guessed, subs=tuple(subs))


def cut_blocks(sizes: Sequence[int], found: NDArray[Any]) -> list[NDArray[Any]]:
    """Answers (N, C) of all tasks as those of each: (N,), or (N, K) of a task with classes."""
    borders = list(accumulate(sizes, initial=0))
    blocks = [found[..., a:b] for a, b in pairwise(borders)]
    return [block[..., 0] if block.shape[-1] == 1 else block for block in blocks]


def sub_answers(target: Target, found: NDArray[Any]) -> list[tuple[str, Target, NDArray[Any]]]:
    """Name, target and answers of each task."""
    blocks = cut_blocks([sub.num_outputs for sub in target.subs], found)
    return list(zip(target.labels, target.subs, blocks, strict=True))


def check_task_parts(target: Target, parts: Any) -> None:
    """Raise where a task cannot be learned, chosen by or judged in some part.

    Args:
        target: of several tasks.
        parts: row numbers of each part (`fit.Parts`).
    """
    if not target.subs:
        return
    for name, sub in zip(target.labels, target.subs, strict=True):
        for part, rows in parts._asdict().items():
            values = sub.truth(rows)
            if len(rows) and len(np.unique(values)) < 2:
                seen = "no label" if not len(values) else f"{len(values)} labels, all the same"
                raise InputError(
                    f"split, part {part}, task {name!r}",
                    seen,
                    "at least two different ones",
                    "another split, or the command without this task",
                )
        trained = sub.truth(parts.train)
        absent = [label for k, label in enumerate(sub.labels) if not (trained == k).any()]
        if absent:
            raise InputError(
                f"split, part train, task {name!r}",
                f"no row of the class {absent[0]!r}",
                "each class in training",
                "another split, or a table without this class",
            )
