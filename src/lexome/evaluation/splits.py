"""Which rows train, which choose, which test: by a column, by similarity group, or at random."""

# Letters: N rows, G groups, Q strata, P parts (train, validation, test).
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lexome.errors import InputError
from lexome.evaluation.dealing import deal_groups, deal_rows

PARTS = ("train", "validation", "test")
UNUSED = "unused"
CALLED = {"validation": ("validation", "valid", "val", "dev")}  # what columns call a part
FRACTIONS = (0.7, 0.1, 0.2)

Parts = NDArray[np.str_]
SplitKind = Literal["column", "cluster", "random", "chromosome", "block"]
KINDS: tuple[SplitKind, ...] = get_args(SplitKind)
OF_COLUMNS = ("column", "chromosome", "block")
SPELLINGS = "column:NAME, chromosome:NAME, cluster or random"
BLOCKS = "block:POSITION or block:CHROMOSOME,POSITION"


@dataclass(frozen=True, kw_only=True)
class SplitSettings:
    """How a table is split; `column` is set for the kinds that read one."""

    kind: SplitKind
    column: str | None = None

    def __str__(self) -> str:
        return f"{self.kind}:{self.column}" if self.column else self.kind

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns to be read: of blocks the position, the chromosome before it where named."""
        names = (self.column or "").split(",") if self.kind == "block" else [self.column or ""]
        return tuple(name.strip() for name in names if name.strip())


def parse_split(text: str, with_blocks: bool = False) -> SplitSettings:
    """The settings that `--split TEXT` stands for; blocks only for those who can make them.

    >>> parse_split("column:Partition")
    SplitSettings(kind='column', column='Partition')
    >>> str(parse_split("cluster"))
    'cluster'
    """
    head, colon, column = text.partition(":")
    for kind in KINDS:
        needs_column = kind in OF_COLUMNS
        if head == kind and needs_column == bool(colon) and needs_column == bool(column.strip()):
            found = SplitSettings(kind=kind, column=column.strip() or None)
            if kind != "block" or (with_blocks and len(found.columns) in (1, 2)):
                return found
    spellings = f"{BLOCKS}, {SPELLINGS}" if with_blocks else SPELLINGS
    raise InputError("--split", repr(text), spellings, "--split cluster")


def split_rows(
    settings: SplitSettings,
    labels: ArrayLike,
    values: Iterable[object] | None = None,
    groups: ArrayLike | None = None,
    train: Sequence[object] | None = None,
    validation: Sequence[object] | None = None,
    test: Sequence[object] | None = None,
    fractions: tuple[float, float, float] = FRACTIONS,
    seed: int = 0,
) -> Parts:
    """The part of each row, by any kind of split: the one call that a training run makes.

    Args:
        settings: from `parse_split`.
        labels: (N,) classes or real values, (N, K) of several labels, or how much of each of K
            classes a row has, as floats.
        values: the split column, for the kinds `column` and `chromosome`.
        groups: the similarity group of each row, for the kind `cluster`; for `block` its block.
    """
    lists = (train, validation, test)
    where = f"--split {settings}"
    if settings.kind in ("column", "chromosome"):
        if values is None:
            raise InputError(
                where, "no values", "one value a row", f"passing the column {settings.column}"
            )
        spelled = [_spelled(value) for value in values]
        if settings.kind == "column" or any(part is not None for part in lists):
            return split_by_column(
                spelled, train=train, validation=validation, test=test, labels=labels
            )
        return split_by_cluster(np.array(spelled), labels, fractions, seed)
    if any(part is not None for part in lists):
        raise InputError(
            where,
            "--train, --validation or --test",
            "none of them",
            "--split column:NAME with them",
        )
    if settings.kind == "random":
        return split_random(labels, fractions, seed)
    if groups is None:
        raise InputError(
            where, "no groups", "the similarity group of each row", "similarity_groups"
        )
    return split_by_cluster(groups, labels, fractions, seed)


def split_by_column(
    values: Iterable[object],
    train: Sequence[object] | None = None,
    validation: Sequence[object] | None = None,
    test: Sequence[object] | None = None,
    labels: ArrayLike | None = None,
) -> Parts:
    """Rows whose value is in a list go to that list's part, other rows are "unused".

    A part without a list is not made; without any list the column itself must name the parts:
    train, test, and validation (or valid, val, dev).

    >>> split_by_column([0, 1, 2, 9], train=[0, 1], test=["2"]).tolist()
    ['train', 'train', 'test', 'unused']
    """
    spelled = np.array([_spelled(value) for value in values], dtype=object)
    given = {"train": train, "validation": validation, "test": test}
    lists = {
        part: [_spelled(v) for v in chosen] for part, chosen in given.items() if chosen is not None
    }
    present = sorted(set(spelled.tolist()), key=_by_number)
    if not lists:
        own = {part: [n for n in CALLED.get(part, (part,)) if n in present] for part in PARTS}
        lists = {part: names for part, names in own.items() if names}
        if "train" not in lists or "test" not in lists:
            raise InputError(
                "split column",
                f"the values {_some(present)} and no lists",
                "which of them train, validate and test",
                "--train A,B --validation C --test D",
            )
    owner: dict[str, str] = {}
    for part, chosen in lists.items():
        for value in chosen:
            if value not in present:
                raise InputError(
                    f"--{part}",
                    repr(value),
                    f"values that occur in the split column: {_some(present)}",
                    "one of these",
                )
            if owner.setdefault(value, part) != part:
                raise InputError(
                    f"--{part}",
                    f"{value!r}, which --{owner[value]} has too",
                    "parts without overlap",
                    "naming each value once",
                )
    for part, chosen in lists.items():
        if not chosen:
            raise InputError(f"--{part}", "an empty list", "at least one value", _some(present))
    parts = np.array([owner.get(value, UNUSED) for value in spelled.tolist()], dtype=np.str_)
    check_parts(parts, labels)
    return parts


def split_by_cluster(
    groups: ArrayLike,
    labels: ArrayLike,
    fractions: tuple[float, float, float] = FRACTIONS,
    seed: int = 0,
) -> Parts:
    """Whole groups to each part, so that the parts have the wanted size and the same label shares.

    See `deal_groups` for how.
    """
    wanted = _checked_fractions(fractions)
    _, group_N = np.unique(np.asarray(groups), return_inverse=True)
    sizes_G = np.bincount(group_N)
    largest = int(sizes_G.max())
    part_N = deal_groups(group_N, np.asarray(labels), wanted, seed)
    parts = np.array(PARTS, dtype=np.str_)[part_N]
    hint = f"the largest of {len(sizes_G)} groups holds {largest} of {len(group_N)} rows"
    check_parts(
        parts, labels, expected=[p for p, w in zip(PARTS, wanted, strict=True) if w], hint=hint
    )
    return parts


def split_random(
    labels: ArrayLike, fractions: tuple[float, float, float] = FRACTIONS, seed: int = 0
) -> Parts:
    """Rows to parts at random, each class (or tenth of real values) in the wanted fractions.

    Kin may then stand in several parts: a figure measured so is too good for new families.
    """
    wanted = _checked_fractions(fractions)
    part_N = deal_rows(np.asarray(labels), wanted, seed)
    parts = np.array(PARTS, dtype=np.str_)[part_N]
    check_parts(parts, labels, expected=[p for p, w in zip(PARTS, wanted, strict=True) if w])
    return parts


def check_parts(
    parts: Parts,
    labels: ArrayLike | None = None,
    expected: Sequence[str] = ("train",),
    hint: str = "",
) -> None:
    """Raise InputError for an empty part, and for one whose labels are all the same."""
    detail = f" ({hint})" if hint else ""
    for part in PARTS:
        here = parts == part
        if not here.any():
            if part in expected:
                raise InputError(
                    f"split, part {part}",
                    f"no rows{detail}",
                    "at least one",
                    "other fractions, a smaller --block-size, or --split column:NAME",
                )
            continue
        if labels is None:
            continue
        values = np.asarray(labels)[here]
        if values.ndim == 2 and values.dtype.kind == "f":  # amounts of each class in every row
            continue
        if (values == values[0]).all():
            raise InputError(
                f"split, part {part}",
                f"{len(values)} rows that all have the label {values[0]}{detail}",
                "at least two different labels",
                "other values or fractions for the parts, or another --seed",
            )


def _checked_fractions(fractions: Sequence[float]) -> NDArray[np.float64]:
    wanted = np.asarray(fractions, np.float64)
    if wanted.shape != (3,) or not (
        wanted.min() >= 0 and abs(wanted.sum() - 1) <= 1e-6 and wanted[0]
    ):
        raise InputError(
            "split fractions",
            str(tuple(fractions)),
            "train, validation and test shares that add up to 1",
            "0.7, 0.1, 0.2",
        )
    return wanted


def _spelled(value: object) -> str:
    """A value as a list on the command line would spell it: 3.0 as 3."""
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value)


def _by_number(value: str) -> tuple[int, float, str]:
    """Sorting key: numbers by size, then words by letters."""
    try:
        return (0, float(value), value)
    except ValueError:
        return (1, 0.0, value)


def _some(values: Sequence[str]) -> str:
    shown = ", ".join(values[:12])
    return f"{shown} and {len(values) - 12} more" if len(values) > 12 else shown
