"""Which rows a probe trains, chooses and judges on: folds, or three parts."""

# Letters: N rows.
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lexome.errors import InputError
from lexome.evaluation.dealing import deal_groups, deal_rows
from lexome.evaluation.grouping import group_similar
from lexome.evaluation.kmer_sets import KmerAlphabet
from lexome.evaluation.splits import SplitSettings, check_parts, split_by_column
from lexome.sequence.pairs import are_single
from lexome.training.labelled import LabelledTable
from lexome.training.target import Target

Ints = NDArray[np.int64]
INNER = np.array(
    [0.8, 0.2]
)  # of the training rows: settings are tried on the first, judged on both


class Turn(NamedTuple):
    """One round of training: settings are chosen on `inner` by `choice`, `judged` is answered.

    What answers is trained on `train`, which holds `inner`, and `choice` too where these are folds.
    """

    train: Ints
    inner: Ints
    choice: Ints
    judged: Ints


class Folds(NamedTuple):
    """The turns, and what is kept together."""

    turns: list[Turn]
    chosen_on: Ints  # rows by which a cell is chosen; of folds all
    test: Ints  # rows that judge the chosen cell alone; of folds none
    fold_N: Ints  # -1 for a row in none
    group_N: Ints  # similarity groups: what a resample draws
    how: str  # how the groups were found
    names: list[str]  # of the folds


def make_folds(
    data: LabelledTable,
    splitting: SplitSettings,
    num_folds: int,
    lists: Sequence[Sequence[str]],
    alphabet: KmerAlphabet,
    seed: int,
    clusters: str = "auto",
) -> Folds:
    """The folds of a table, or its parts where `lists` name values of train, validation, test.

    Raises:
        InputError: fewer rows of a class than folds, a fold without a class, a group larger than
            a fold, a column with too few values.
    """
    assert are_single(data.sequences)
    found = group_similar(data.sequences, alphabet, method=clusters)
    if any(lists):
        return _parts(data, splitting, lists, found.group_N, found.how)
    where = f"--split {splitting}"
    if num_folds < 2:
        raise InputError("--folds", str(num_folds), "at least 2", "`--folds 5`")
    check_counts(data.target, num_folds)
    num, labels = len(data.ids), data.target.values
    wanted = np.full(num_folds, 1 / num_folds)
    names = [str(fold) for fold in range(num_folds)]
    if splitting.kind == "random":
        together_N = np.arange(num)
        fold_N = deal_rows(labels, wanted, seed)
    elif splitting.column is not None:
        assert data.split_values is not None
        values, together_N = _numbered(data.split_values)
        if len(values) < num_folds:
            raise InputError(
                where, f"{len(values):,} different values",
                f"at least one for each of {num_folds} folds",
                f"`--folds {len(values)}`" if len(values) > 1 else "another column",
            )  # fmt: skip
        fold_N, names = together_N, values
        if len(values) > num_folds:
            names = [str(fold) for fold in range(num_folds)]
            fold_N = deal_groups(together_N, labels, wanted, seed)
    else:
        together_N = found.group_N
        fold_N = deal_groups(together_N, labels, wanted, seed)
    _check_folds(data.target, fold_N, names, where, found.group_N)
    turns = []
    for fold in range(num_folds):
        train, judged = np.flatnonzero(fold_N != fold), np.flatnonzero(fold_N == fold)
        inner, choice = _inner(train, together_N, labels, splitting.kind == "random", seed)
        turns.append(Turn(train, inner, choice, judged))
    none = np.empty(0, np.int64)
    return Folds(turns, np.arange(num), none, fold_N, found.group_N, found.how, names)


def check_counts(target: Target, num_folds: int) -> None:
    """Every class has a row for each fold at least.

    Raises:
        InputError: naming the rarest class.
    """
    counts = class_counts(target)
    if counts and min(counts.values()) < num_folds:
        rare = min(counts, key=lambda label: counts[label])
        raise InputError(
            f"label {rare!r}", f"{counts[rare]:,} rows",
            f"at least one for each of {num_folds} folds",
            f"`--folds {counts[rare]}`" if counts[rare] > 1 else "leaving it out, or more rows",
        )  # fmt: skip


def class_counts(target: Target) -> dict[str, int]:
    """Rows of each class, of each label's positives; nothing for numbers."""
    if target.task == "regression":
        return {}
    if target.task == "multilabel":
        return dict(zip(target.labels, target.values.sum(0).tolist(), strict=True))
    counts = np.bincount(target.values, minlength=len(target.labels))
    return dict(zip(target.labels, counts.tolist(), strict=True))


def _parts(
    data: LabelledTable, splitting: SplitSettings, lists: Sequence[Sequence[str]],
    group_N: Ints, how: str,
) -> Folds:  # fmt: skip
    if splitting.column is None:
        raise InputError(
            f"--split {splitting}", "--train, --validation or --test", "none of them, or a column",
            "`--split column:NAME`",
        )  # fmt: skip
    if not all(lists):
        raise InputError(
            f"--split {splitting}", "some of --train, --validation and --test",
            "all three, or folds",
            "naming all, or none for --folds",
        )  # fmt: skip
    assert data.split_values is not None
    names = split_by_column(data.split_values, *lists)
    labels = data.target.values
    is_checked = data.target.task in ("binary", "multiclass")
    parts = ("train", "validation", "test")
    check_parts(names, labels if is_checked else None, parts)
    train, validation, test = (np.flatnonzero(names == part) for part in parts)
    judged = np.concatenate([validation, test])
    fold_N = np.full(len(data.ids), -1)
    fold_N[validation] = 0
    turn = Turn(train, train, validation, judged)
    return Folds([turn], validation, test, fold_N, group_N, how, ["validation"])


def _inner(
    train: Ints, together_N: Ints, labels: NDArray[Any], is_random: bool, seed: int
) -> tuple[Ints, Ints]:
    """Training rows that settings are fitted on, and those that choose; groups stay whole."""
    if is_random:
        part = deal_rows(labels[train], INNER, seed)
    else:
        groups = np.unique(together_N[train], return_inverse=True)[1].astype(np.int64)
        part = deal_groups(groups, labels[train], INNER, seed)
    return train[part == 0], train[part == 1]


def _numbered(values: Sequence[str]) -> tuple[list[str], Ints]:
    def natural(value: str) -> tuple[int, float, str]:
        try:
            return (0, float(value), value)
        except ValueError:
            return (1, 0.0, value)

    names = sorted(set(values), key=natural)
    place = {name: number for number, name in enumerate(names)}
    return names, np.array([place[value] for value in values], np.int64)


def _check_folds(
    target: Target, fold_N: Ints, names: Sequence[str], where: str, group_N: Ints
) -> None:
    for fold, name in enumerate(names):
        here = fold_N == fold
        remedy = "fewer --folds, another --seed, or leaving rare classes out"
        if not here.any():
            largest = int(np.bincount(group_N).max())
            seen = f"no rows (the largest of {int(group_N.max()) + 1:,} groups has {largest:,})"
            raise InputError(f"{where}, fold {name}", seen, "at least one", remedy)
        if target.task == "regression":
            if np.ptp(target.values[here]) == 0:
                raise InputError(
                    f"{where}, fold {name}", "one value only", "values that differ", remedy
                )
            continue
        present = target.values[here].sum(0) if target.task == "multilabel" else np.bincount(
            target.values[here], minlength=len(target.labels)
        )  # fmt: skip
        for label, count in zip(target.labels, present.tolist(), strict=True):
            if not count:
                total = class_counts(target)[label]
                raise InputError(
                    f"{where}, fold {name}",
                    f"no row of the class {label!r} (it has {total:,} rows)",
                    "some of every class", remedy,
                )  # fmt: skip
