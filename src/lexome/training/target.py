"""What a column of labels asks for: two classes, several, several at once, or a number."""

# Letters: N rows, K labels.
import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lexome.errors import InputError
from lexome.evaluation.metrics import TASKS, Task
from lexome.training.residue_labels import (
    IGNORED,
    PER_RESIDUE,
    ResidueLabels,
    ResidueReading,
    count_classes,
    read_classes,
)

POSITIVE_NAMES = ("1", "1.0", "true", "yes", "positive", "pos", "+")
JOINT = ";"  # between the labels of a row, where they are written
SEPARATORS = (JOINT, "|", ",")
# More distinct numbers than this are measurements, not classes.
MOST_CLASSES_GUESSED = 20
MISSING = frozenset({"", "na", "n/a", "nan", "none", "null"})
FAR = 100  # spreads from 0, from where on numbers lose digits that tell them apart in 32 bits
LARGEST = 1e30  # training squares in 32 bits
LEAST_SPREAD = 1e-12  # of the size of numbers: what differs by less is rounding


class Target(NamedTuple):
    """Labels in the form that training and metrics use."""

    task: Task | Literal["multitask"]
    labels: tuple[str, ...]  # names in the order of `values`; empty for regression
    values: NDArray[Any]  # (N,) int for binary and multiclass, (N, K) int, or (N,) float64
    guessed: bool  # whether the task was guessed from the values
    residues: ResidueLabels | None = None  # whose each value is, where every residue has a label
    known: NDArray[np.bool_] | None = None  # of one task of several: which rows have a label
    subs: tuple["Target", ...] = ()  # of several tasks: each one's, in the order of `labels`

    @property
    def kind(self) -> Task:
        """The task, where there is one."""
        assert self.task != "multitask"
        return self.task

    @property
    def num_outputs(self) -> int:
        """Numbers that a model gives for each row, or for each residue."""
        if self.subs:
            return sum(sub.num_outputs for sub in self.subs)
        return {"binary": 1, "regression": 1}.get(self.task, len(self.labels))

    @property
    def unit(self) -> str:
        """What is answered: a sequence, several things about it, or a residue."""
        if self.subs:
            return "tasks"
        return "sequence" if self.residues is None else "residue"

    @property
    def is_far(self) -> bool:
        """Whether these are numbers that `lie_far` from 0: answers to them are not rounded."""
        if self.task != "regression":
            return False
        values = self.values if self.known is None else self.values[self.known]
        return lie_far(float(values.mean()), float(values.std()))

    def truth(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """The values of some rows; of residues those that are not ignored."""
        return self.judged(rows)[0]

    def judged(self, rows: NDArray[np.int64], *found: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        """The values of some rows, and answers to these rows without those that nobody judges."""
        if self.known is not None:
            known = self.known[rows]
            return (self.values[rows][known], *(answers[known] for answers in found))
        if self.residues is None:
            return (self.values[rows], *found)
        values = self.values[self.residues.places(rows)]
        known = values != IGNORED
        return (values[known], *(answers[known] for answers in found))

    def num_answers(self, rows: NDArray[np.int64]) -> int:
        """How many answers there are to some rows."""
        return len(rows) if self.residues is None else int(self.residues.lengths[rows].sum())

    def per_answer(self, rows: NDArray[np.int64], facts: NDArray[Any]) -> NDArray[Any]:
        """A fact about each of some rows, given to each of their judged answers."""
        if self.known is not None:
            return facts[self.known[rows]]
        if self.residues is None:
            return facts
        return self.judged(rows, np.repeat(facts, self.residues.lengths[rows]))[1]

    @property
    def strata(self) -> NDArray[Any]:
        """What parts of a split should have alike: the values, or the residues of each class."""
        if self.subs:
            columns = []
            for sub in self.subs:
                known = np.asarray(sub.known)
                columns += [known, *(known & (sub.values == k) for k in range(len(sub.labels)))]
            return np.stack(columns, 1).astype(np.int64)
        if self.residues is None:
            return self.values
        return count_classes(self.values, self.residues, len(self.labels))


def lie_far(mean: float, spread: float) -> bool:
    """Whether numbers differ by so little beside their size that 32 bits, or 6 digits, lose it.

    >>> lie_far(310.0, 12.0), lie_far(1e6, 1.0)
    (False, True)
    """
    return abs(mean) > FAR * spread


def is_missing(value: object) -> bool:
    """Whether a cell says that there is no label."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return True
    return str(value).strip().lower() in MISSING


def spell(value: object) -> str:
    """A label as people write it: 3.0 from a float column is 3, True is 1.

    >>> spell(3.0), spell(True), spell(" yes ")
    ('3', '1', 'yes')
    """
    if isinstance(value, bool | np.bool_):
        return str(int(value))
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value).strip()


def read_target(
    columns: Sequence[Sequence[object]],
    names: Sequence[str],
    task: str = "auto",
    positive: str | None = None,
    rows: Sequence[int] | None = None,
) -> Target:
    """Labels from one column, or from several columns of 0 and 1 (multi-label).

    Args:
        columns: the label columns, no value missing.
        names: what the columns are called.
        task: binary, multiclass, multilabel, regression, or auto to judge by the values.
        positive: of two classes the one to find; else 1, true, yes, positive; else the later one.
        rows: row numbers for messages, 1-based.
    """
    if task not in ("auto", *TASKS):
        known = ", ".join(("auto", *TASKS, PER_RESIDUE, "multitask", "COLUMN=KIND,..."))
        raise InputError("task", repr(task), known, "`--task auto`")
    if len(columns) > 1:
        return _several_columns(columns, names, task, rows)
    values, name = columns[0], names[0]
    numbers = read_numbers(values)
    spelled = [spell(value) for value in values]
    distinct = sorted(set(spelled), key=_natural)
    chosen = task if task != "auto" else _guess(distinct, numbers, len(values), name)
    guessed = task == "auto"
    if chosen == "regression":
        return Target("regression", (), _finite(values, numbers, name, rows), guessed)
    if chosen == "multilabel":
        return _separated(spelled, name, guessed)
    _check_classes(distinct, chosen, name)
    if chosen == "binary":
        distinct = _positive_last(distinct, positive, name)
    index = {label: i for i, label in enumerate(distinct)}
    found = np.array([index[label] for label in spelled], dtype=np.int64)
    return Target("binary" if chosen == "binary" else "multiclass", tuple(distinct), found, guessed)


def read_residue_target(
    columns: Sequence[Sequence[str]],
    names: Sequence[str],
    reading: ResidueReading,
    positive: str | None,
    where: Sequence[str],
) -> Target:
    """Labels of residues, from one column of texts that are as long as their sequences.

    Two labels make a binary task, more a multiclass one.

    Args:
        columns, names: the label column and its name; several are refused.
        reading: the letters that are ignored; the labels of a run that is judged.
        positive: as `read_target` has it.
        where: a name for each row, for messages.
    """
    if len(columns) > 1:
        raise InputError(
            "task", f"{PER_RESIDUE} with {len(columns)} label columns", "one", "one `--label`"
        )
    labels, values, residues = read_classes(columns[0], names[0], reading, where)
    task: Task = "binary" if len(labels) == 2 else "multiclass"
    if task == "binary" and not reading.known:
        ordered = _positive_last(list(labels), positive, names[0])
        if ordered != list(labels):
            labels, values = tuple(ordered), np.where(values == IGNORED, IGNORED, 1 - values)
    return Target(task, labels, values, False, residues)


def _guess(
    distinct: Sequence[str], numbers: NDArray[np.float64] | None, num: int, name: str
) -> str:
    if len(distinct) == 2:
        return "binary"
    if numbers is not None:
        if not is_whole(numbers) or len(distinct) > MOST_CLASSES_GUESSED:
            return "regression"
    elif len(distinct) > max(MOST_CLASSES_GUESSED, num // 10):
        raise InputError(
            f"label column {name!r}",
            f"{len(distinct):,} different texts in {num:,} rows (the first: {distinct[0]!r})",
            "two or more classes that repeat, or numbers",
            "another column with `--label`, or `--task multiclass` if these are classes",
        )
    return "multiclass"


def _several_columns(
    columns: Sequence[Sequence[object]], names: Sequence[str], task: str, rows: Sequence[int] | None
) -> Target:
    if task not in ("auto", "multilabel"):
        raise InputError(
            "task", f"{task} with {len(columns)} label columns", "multilabel", "one `--label`"
        )
    joined = next((name for name in names if JOINT in name), None)
    if joined is not None:  # labels of a row are written with it between them
        seen = f"a {JOINT!r} in the name {joined!r}"
        raise InputError("label columns", seen, f"names without {JOINT!r}", "another name")
    values = np.zeros((len(columns[0]), len(columns)), dtype=np.int64)
    for k, (column, name) in enumerate(zip(columns, names, strict=True)):
        for i, value in enumerate(column):
            text = spell(value).lower()
            if text not in (*POSITIVE_NAMES, "0", "0.0", "false", "no", "negative", "neg", "-"):
                raise InputError(
                    f"label column {name!r}, row {rows[i] if rows else i + 1}",
                    repr(value),
                    "0 or 1, as every column of a multi-label table has",
                    "one `--label` column for classes or numbers",
                )
            values[i, k] = text in POSITIVE_NAMES
    return Target("multilabel", tuple(names), values, task == "auto")


def _separated(spelled: Sequence[str], name: str, guessed: bool) -> Target:
    sets = cut_labels(spelled)
    labels = sorted(set().union(*sets), key=_natural)
    if len(labels) < 2:
        _check_classes(labels, "multilabel", name)
    values = np.array([[label in found for label in labels] for found in sets], dtype=np.int64)
    return Target("multilabel", tuple(labels), values, guessed)


def cut_labels(texts: Sequence[str]) -> list[set[str]]:
    """The labels in each cell of a column, by the first of the separators that it has.

    >>> [sorted(cell) for cell in cut_labels(["b; a", "a"])]
    [['a', 'b'], ['a']]
    """
    separator = next((s for s in SEPARATORS if any(s in text for text in texts)), JOINT)
    return [{part.strip() for part in text.split(separator)} - {""} for text in texts]


def is_whole(numbers: NDArray[np.float64]) -> bool:
    """Whether all are whole numbers."""
    return bool((numbers == np.round(numbers)).all())


def _check_classes(distinct: Sequence[str], task: str, name: str) -> None:
    where = f"label column {name!r}"
    if len(distinct) < 2:
        seen = f"one class only ({distinct[0]!r})" if distinct else "no label"
        raise InputError(where, seen, "at least two classes", "a table that holds both kinds")
    if task == "binary" and len(distinct) > 2:
        raise InputError(
            where,
            f"{len(distinct):,} values ({', '.join(distinct[:4])}, ...)",
            "two for a binary task",
            "`--task multiclass` or `--task regression`",
        )


def _positive_last(distinct: list[str], positive: str | None, name: str) -> list[str]:
    if positive is not None and positive not in distinct:
        raise InputError(
            f"label column {name!r}",
            f"no {positive!r}",
            f"the positive class among {', '.join(distinct)}",
            f"`--positive {distinct[-1]}`",
        )
    chosen = positive or next(
        (label for label in distinct if label.lower() in POSITIVE_NAMES), distinct[-1]
    )
    return sorted(distinct, key=lambda label: label == chosen)


def read_numbers(values: Sequence[object]) -> NDArray[np.float64] | None:
    """The values as numbers; None where one is none."""
    try:
        return np.array([float(value) for value in values])  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None


def _finite(
    values: Sequence[object],
    numbers: NDArray[np.float64] | None,
    name: str,
    rows: Sequence[int] | None,
) -> NDArray[np.float64]:
    for i, value in enumerate(values if numbers is None else numbers):
        one = read_numbers([value])
        if one is None or not np.isfinite(one[0]):
            raise InputError(
                f"label column {name!r}, row {rows[i] if rows else i + 1}",
                repr(values[i]),
                "a finite number",
                "`--task multiclass`, or to mend the row",
            )
    assert numbers is not None
    check_numbers(numbers, f"label column {name!r}")
    return numbers


def check_numbers(numbers: NDArray[np.float64], where: str) -> None:
    """Refuse finite numbers from which nothing can be learned.

    Raises:
        InputError: one value only, values whose squares are too large or too small to be computed
            with, or that differ by rounding alone.
    """
    low, high = float(numbers.min()), float(numbers.max())
    size = max(abs(low), abs(high))
    if low == high:
        raise InputError(where, "one value only", "values that differ", "another column")
    if size > LARGEST or size < 1 / LARGEST:
        raise InputError(
            where,
            f"values of up to {size:g}",
            f"the largest between {1 / LARGEST:g} and {LARGEST:g}",
            "another unit, or their logarithms",
        )
    if high - low < LEAST_SPREAD * size:
        raise InputError(
            where,
            f"values around {size:g} that differ by {high - low:.3g} at most",
            f"differences beyond rounding, {LEAST_SPREAD:g} of their size",
            "to take off what is common to all",
        )


def _natural(label: str) -> tuple[int, float, str]:
    try:
        return (0, float(label), label)
    except ValueError:
        return (1, 0.0, label)
