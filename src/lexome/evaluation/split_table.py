"""A table with the part or fold of every row: random, by column, cluster, block of a genome."""

# Letters: N rows, P parts or folds.
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from lexome.errors import InputError
from lexome.evaluation.copies import spelling
from lexome.evaluation.dealing import deal_groups, deal_rows, is_real
from lexome.evaluation.grouping import (
    BLOCK_SIZE,
    Ints,
    group_similar,
    in_gap,
    read_blocks,
    settle_gap,
)
from lexome.evaluation.sequence_rows import find_alphabet, labels_of, read_frame, sequences_of
from lexome.evaluation.splits import FRACTIONS, PARTS, UNUSED, parse_split, split_by_column
from lexome.io.roles import find_column, guess_column
from lexome.results.columns import FOLD, GROUP, PART

LISTED_CLASSES = 12


class PartSummary(NamedTuple):
    """What one part (or fold) holds."""

    name: str
    rows: int
    share: float  # of all rows
    groups: int | None  # None where each row is its own
    balance: dict[str, float]  # share of each class, the 12 commonest; of numbers, their mean


class SplitTable(NamedTuple):
    """The table with its new columns, and what is to be known of the split."""

    frame: pl.DataFrame
    own: list[str]  # the columns that it came with
    summaries: list[PartSummary]
    copies: int | None  # rows whose equal stands in an earlier part; None without sequences
    notes: dict[str, Any]  # for provenance: settings, how groups were found, what to beware of


class _Asked(NamedTuple):
    """What a user asks for, as `split` documents it."""

    spelled: str
    kind: str
    columns: tuple[str, ...]
    wanted_P: NDArray[np.float64]
    names: list[str]


def split(
    table: Any,
    split: str = "cluster",
    *,
    stratify: str | None = None,
    sequence: str | None = None,
    identity: float | None = None,
    clusters: str = "auto",
    alphabet: str = "auto",
    parts: Sequence[float] = FRACTIONS,
    folds: int | None = None,
    train: Sequence[object] | None = None,
    validation: Sequence[object] | None = None,
    test: Sequence[object] | None = None,
    block_size: int = BLOCK_SIZE,
    gap: int | None = None,
    group: str | None = None,
    seed: int = 0,
) -> SplitTable:
    """The table with a column `part` (or `fold`), and `group` where rows are kept together.

    Whole groups go to parts of the wanted sizes, the labels of `stratify` balanced; the same
    call gives the same parts on every machine.

    Args:
        table: a path (CSV, TSV, Parquet, .gz) or a frame.
        split: `cluster` (similar sequences together), `random` (kin on both sides: marked so),
            `column:NAME` (rows of one value together; by `train`, `validation`, `test` where
            given), `chromosome:NAME` (the same), `block:POSITION` or
            `block:CHROMOSOME,POSITION` (stretches of a genome).
        stratify: label column whose classes (or tenths of numbers) every part shall have alike.
        identity, clusters, alphabet: as `group_similar` has them.
        parts: shares of train, validation and test; two numbers are train and test.
        folds: so many folds instead of parts, numbered from 0; each row is in one of them.
        block_size, gap: in bases. Rows nearer than `gap` to the start of a block after one of
            another part are in none; the gap is the longest sequence unless given, 0 without.
        group: column whose values must not stand in two parts; only checked.

    Raises:
        InputError: a class that a part does not have, a group larger than the largest part,
            groups on two sides, constant labels, columns or settings that cannot be used.

    >>> rows = pl.DataFrame({"gene": ["a", "a", "b", "c", "d", "e"], "label": [0, 1, 0, 1, 0, 1]})
    >>> made = split(rows, "column:gene", folds=3)
    >>> made.frame["fold"].value_counts()["count"].to_list()
    [2, 2, 2]
    """
    lists = (train, validation, test)
    asked = _parse(split, parts, folds, any(chosen is not None for chosen in lists))
    where, frame = read_frame(table)
    named = asked.kind in ("column", "chromosome") and _is_named(frame, asked, lists, where)
    written = [FOLD if folds else PART, *([] if named or asked.kind == "random" else [GROUP])]
    taken = [c for c in written if c in frame.columns]
    if taken:
        raise InputError(
            f"{where}, column {taken[0]!r}", "a column of that name", "none: it is to be written",
            "renaming or leaving out the one there is",
        )  # fmt: skip
    labels = None if stratify is None else labels_of(frame, stratify, where)
    letters, kind = _sequences(frame, sequence, asked.kind == "cluster", alphabet, where)
    notes: dict[str, Any] = {"split": split, "seed": seed, "rows": frame.height}
    groups: Ints | None = None
    unused = np.zeros(frame.height, bool)
    flat = np.zeros(frame.height, np.int64) if labels is None else labels
    if asked.kind == "random":
        notes["random"] = True
        notes["beware"] = "kin may stand in several parts: figures will be too good"
        part_N = deal_rows(flat, asked.wanted_P, seed)
    elif named:
        values = frame[asked.columns[0]].to_list()
        placed = split_by_column(values, train, validation, test)
        unused = placed == UNUSED
        part_N = np.array([PARTS.index(p) if p in PARTS else 0 for p in placed.tolist()])
        used = [index for index in range(3) if (part_N[~unused] == index).any()]
        asked = asked._replace(wanted_P=np.array([float(index in used) for index in range(3)]))
    else:
        groups, offsets = _groups(asked, frame, letters, kind, identity, clusters, block_size,
                                  notes, where)  # fmt: skip
        numbers = np.unique(groups, return_inverse=True)[1].astype(np.int64)
        _check_largest(numbers, asked, notes)
        part_N = deal_groups(numbers, flat, asked.wanted_P, seed)
        if offsets is not None:
            width = settle_gap(gap, letters or [], block_size)
            unused = in_gap(groups, offsets, part_N, width)
            notes |= {"block_size": block_size, "gap": width, "in_gaps": int(unused.sum())}
        groups = _by_appearance(numbers)
        notes["groups"] = int(groups.max()) + 1
    _check_classes(part_N, unused, asked, labels, groups)
    if group is not None:
        _check_group(frame, group, part_N, unused, asked, where)
    copies = None if letters is None else _copies(letters, kind, part_N, unused)
    summaries = _summaries(part_N, unused, asked, labels, groups)
    notes |= {"stratify": stratify, "copies_across": copies}
    made = frame.with_columns(_column(part_N, unused, asked, folds))
    if groups is not None:
        made = made.with_columns(pl.Series(GROUP, groups))
    return SplitTable(made, frame.columns, summaries, copies, notes)


def _parse(spelled: str, parts: Sequence[float], folds: int | None, listed: bool) -> _Asked:
    found = parse_split(spelled, with_blocks=True)
    kind, columns = found.kind, found.columns
    if listed and (folds or kind not in ("column", "chromosome")):
        raise InputError(
            "--train, --validation, --test", "values of a column",
            "--split column:NAME without --folds", "--parts for sizes",
        )  # fmt: skip
    if folds is not None:
        if folds < 2:
            raise InputError("--folds", str(folds), "at least 2", "--folds 5")
        if tuple(parts) != FRACTIONS:
            raise InputError("--parts", "--folds too", "one of them", "--folds alone")
        return _Asked(
            spelled, kind, columns, np.full(folds, 1 / folds), list(map(str, range(folds)))
        )
    shares = (parts[0], 0.0, parts[1]) if len(parts) == 2 else tuple(parts)
    wanted = np.asarray(shares, np.float64)
    if wanted.shape != (3,) or not (
        wanted.min() >= 0 and abs(wanted.sum() - 1) <= 1e-6 and wanted[0]
    ):
        raise InputError(
            "--parts", ",".join(map(str, parts)),
            "shares of train, validation and test (or train and test) that add up to 1",
            "--parts 0.8,0.1,0.1",
        )  # fmt: skip
    return _Asked(spelled, kind, columns, wanted, list(PARTS))


def _sequences(
    frame: pl.DataFrame, asked: str | None, needed: bool, alphabet: str, where: str
) -> tuple[list[str] | None, Any]:
    """Sequences and their alphabet; None where a table has none and none are needed."""
    sample = frame.head(1000)
    if needed:
        choice = find_column(frame.columns, "sequence", asked, sample=sample, where=where)
    else:
        found = guess_column(frame.columns, "sequence", asked, sample=sample, where=where)
        if found is None:
            return None, None
        choice = found
    letters = sequences_of(frame, choice.name, where)
    return letters, find_alphabet(letters, alphabet)


def _is_named(frame: pl.DataFrame, asked: _Asked, lists: Sequence[object], where: str) -> bool:
    """Whether lists or the column's own values (train, test) say where each row goes."""
    find_column(frame.columns, "id", asked.columns[0], where=where)
    if len(asked.wanted_P) != 3 or asked.names != list(PARTS):
        return False
    present = {str(value) for value in frame[asked.columns[0]].to_list()}
    return any(chosen is not None for chosen in lists) or {"train", "test"} <= present


def _groups(
    asked: _Asked, frame: pl.DataFrame, letters: list[str] | None, kind: Any,
    identity: float | None, clusters: str, block_size: int, notes: dict[str, Any], where: str,
) -> tuple[Ints, Ints | None]:  # fmt: skip
    """The group of each row; of blocks also the distance from the start of the block."""
    if asked.kind == "cluster":
        assert letters is not None
        found = group_similar(letters, kind, identity, clusters)
        notes |= {"how": found.how, "method": found.method, "identity": found.identity}
        notes["alphabet"] = kind
        return found.group_N, None
    if asked.kind == "block":
        return read_blocks(frame, asked.columns, block_size, where)
    find_column(frame.columns, "id", asked.columns[0], where=where)
    values = frame[asked.columns[0]].cast(pl.String)
    if values.null_count():
        raise InputError(
            f"{where}, row {int(values.is_null().arg_true()[0]) + 1}, column {asked.columns[0]!r}",
            "no value", "one in every row", "filling or leaving out such rows",
        )  # fmt: skip
    return np.unique(values.to_numpy().astype(str), return_inverse=True)[1].astype(np.int64), None


def _check_largest(group_N: Ints, asked: _Asked, notes: dict[str, Any]) -> None:
    sizes = np.bincount(group_N)
    room = int(np.ceil(asked.wanted_P.max() * len(group_N) - 1e-9))
    if sizes.max() > room:
        remedy = {
            "cluster": "a higher --identity, larger --parts or fewer --folds",
            "block": "a smaller --block-size, larger --parts or fewer --folds",
        }.get(asked.kind, "larger --parts, fewer --folds or another column")
        raise InputError(
            f"--split {asked.spelled}",
            f"a group of {sizes.max():,} of {len(group_N):,} rows, {len(sizes):,} groups in all",
            f"groups that fit into a part: the largest has room for {room:,}",
            remedy,
        )
    notes["largest_group"] = int(sizes.max())


def _check_classes(
    part_N: Ints, unused: NDArray[np.bool_], asked: _Asked, labels: ArrayLike | None,
    groups: Ints | None,
) -> None:  # fmt: skip
    """Every part has rows, and of every class some."""
    values = None if labels is None or is_real(np.asarray(labels)) else np.asarray(labels)
    what = "fold" if asked.names[0] == "0" else "part"
    for index, name in enumerate(asked.names):
        if not asked.wanted_P[index]:
            continue
        here = (part_N == index) & ~unused
        if not here.any():
            count = "" if groups is None else f" (there are {groups.max() + 1} groups)"
            raise InputError(
                f"--split {asked.spelled}, {what} {name}", f"no rows{count}", "at least one",
                "fewer folds, other --parts, smaller groups",
            )  # fmt: skip
        if values is None:
            continue
        for label in np.unique(values).tolist():
            if not (values[here] == label).any():
                held = values == label
                kept = "" if groups is None else f" in {len(np.unique(groups[held])):,} groups"
                raise InputError(
                    f"--split {asked.spelled}, {what} {name}",
                    f"no row of the class {label} (it has {held.sum():,} rows{kept})",
                    "some of every class",
                    "fewer folds, other --parts, another --seed, or leaving the class out",
                )


def _check_group(
    frame: pl.DataFrame, group: str, part_N: Ints, unused: NDArray[np.bool_], asked: _Asked,
    where: str,
) -> None:  # fmt: skip
    find_column(frame.columns, "id", group, where=where)
    owner: dict[object, int] = {}
    leaking: dict[object, int] = {}
    values = frame[group].to_list()
    for value, part, left in zip(values, part_N.tolist(), unused.tolist(), strict=True):
        if value is not None and not left and owner.setdefault(value, part) != part:
            leaking.setdefault(value, part)
    if leaking:
        first, other = next(iter(leaking.items()))
        raise InputError(
            f"{where}, --group {group}",
            f"{len(leaking):,} of {len(set(values)):,} values in two parts, such as {first!r} in "
            f"{asked.names[owner[first]]} and {asked.names[other]}",
            "each in one: this split leaks by construction",
            f"--split column:{group}",
        )


def _copies(letters: list[str], kind: Any, part_N: Ints, unused: NDArray[np.bool_]) -> int:
    """Rows of a part whose equal (of DNA also the reverse complement) stands in an earlier one."""
    first: dict[str, int] = {}
    spelled = [spelling(text, kind) for text in letters]
    used = np.flatnonzero(~unused).tolist()
    for i in used:
        first[spelled[i]] = min(first.get(spelled[i], len(part_N)), int(part_N[i]))
    return sum(first[spelled[i]] < part_N[i] for i in used)


def _summaries(
    part_N: Ints, unused: NDArray[np.bool_], asked: _Asked, labels: Any, groups: Ints | None
) -> list[PartSummary]:
    rows_of = {
        name: (part_N == index) & ~unused
        for index, name in enumerate(asked.names)
        if asked.wanted_P[index]
    }
    if unused.any():
        rows_of[UNUSED] = unused
    return [
        PartSummary(
            name, int(here.sum()), float(here.mean()),
            None if groups is None else len(np.unique(groups[here])),
            {} if labels is None else _balance(np.asarray(labels)[here]),
        )
        for name, here in rows_of.items()
    ]  # fmt: skip


def _balance(labels: NDArray[Any]) -> dict[str, float]:
    if labels.dtype.kind == "f":
        return {"mean": float(labels.mean())}
    classes, counts = np.unique(labels, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:LISTED_CLASSES]
    return {str(classes[i]): float(counts[i] / len(labels)) for i in sorted(order.tolist())}


def _column(part_N: Ints, unused: NDArray[np.bool_], asked: _Asked, folds: int | None) -> pl.Series:
    if folds:
        found = [None if left else int(p) for p, left in zip(part_N, unused, strict=True)]
        return pl.Series(FOLD, found, pl.Int64)
    names = [UNUSED if left else asked.names[p] for p, left in zip(part_N, unused, strict=True)]
    return pl.Series(PART, names, pl.String)


def _by_appearance(group_N: Ints) -> Ints:
    _, first, inverse = np.unique(group_N, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[inverse]
