"""A label a residue: texts as long as their sequences, read as the class of every letter."""

# Letters: N rows, T letters of all rows end to end, K labels.
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lexome.errors import InputError

PER_RESIDUE = "per-residue"  # the task's name
IGNORED = -1  # the class of a letter that is neither learned nor judged


class ResidueReading(NamedTuple):
    """How labels of residues are read."""

    ignore: str = ""  # letters of a label that say nothing
    known: tuple[str, ...] = ()  # the labels of a run that is judged; empty where they are found


class ResidueLabels(NamedTuple):
    """Whose each of a target's values is: the values of all rows lie end to end."""

    texts: list[str]  # one a row, as the table has them
    bounds_N1: NDArray[np.int64]  # row i has the values [bounds[i], bounds[i + 1])

    def places(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where the values of some rows lie, row after row."""
        return spread_ranges(self.bounds_N1[:-1][rows], self.lengths[rows])

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Residues of each row."""
        lengths_N: NDArray[np.int64] = np.diff(self.bounds_N1)
        return lengths_N


def spread_ranges(starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """The numbers of many ranges, one range after another.

    >>> spread_ranges(np.array([5, 0]), np.array([2, 3])).tolist()
    [5, 6, 0, 1, 2]
    """
    if not len(lengths):
        return np.zeros(0, np.int64)
    before = np.cumsum(lengths) - lengths
    found: NDArray[np.int64] = np.arange(int(lengths.sum())) + np.repeat(starts - before, lengths)
    return found


def fit_labels(
    labels: Sequence[str],
    raw: Sequence[str],
    cleaned: Sequence[str],
    where: Sequence[str],
) -> list[str]:
    """Labels checked against their sequences, and cut where cleaning took off a stop sign.

    Raises:
        InputError: a label that is not as long as its sequence, with both lengths.
    """
    found = []
    for label, sequence, kept, place in zip(labels, raw, cleaned, where, strict=True):
        if len(label) != len(sequence):
            raise InputError(
                place,
                f"a label of {len(label):,} letters for a sequence of {len(sequence):,}",
                "one letter of the label for each residue",
                "to mend or drop the row",
            )
        found.append(label[: len(kept)])
    return found


def all_ignored(labels: Sequence[str], ignore: str) -> list[bool]:
    """Whether a label has nothing but ignored letters, for each row."""
    return [not label.strip(ignore) if ignore else False for label in labels]


def check_ignore(num_left: int, ignore: str, where: str) -> None:
    """Refuse letters to be ignored that leave nothing.

    Raises:
        InputError: no row with a letter to learn from.
    """
    if not num_left:
        raise InputError(
            where,
            f"nothing but the letters {ignore!r}, which --ignore hides",
            "at least two labels to learn",
            "fewer letters in `--ignore`",
        )


def read_classes(
    texts: Sequence[str], name: str, reading: ResidueReading, where: Sequence[str]
) -> tuple[tuple[str, ...], NDArray[np.int64], ResidueLabels]:
    """The labels by their letters, the class of every letter, and whose it is.

    Raises:
        InputError: one label only, or a letter that a judged run does not know.
    """
    counts = Counter[str]()
    for text in texts:
        counts.update(text)
    letters = sorted(set(counts) - set(reading.ignore))
    if reading.known:
        _check_known(letters, texts, reading, where)
        letters = list(reading.known)
    elif len(letters) < 2:
        raise InputError(
            f"label column {name!r}",
            f"one label only ({letters[0]!r}) in {sum(counts.values()):,} residues",
            "at least two",
            "another column, or fewer letters in `--ignore`",
        )
    return tuple(letters), _classes(texts, letters), _whose(texts)


def _check_known(
    letters: Sequence[str], texts: Sequence[str], reading: ResidueReading, where: Sequence[str]
) -> None:
    strange = [letter for letter in letters if letter not in reading.known]
    if strange:
        row = next(i for i, text in enumerate(texts) if strange[0] in text)
        raise InputError(
            where[row],
            f"the label {strange[0]!r}",
            "labels that the run knows: " + ", ".join(reading.known),
            "another `--label`, or to mend the row",
        )


def _classes(texts: Sequence[str], letters: Sequence[str]) -> NDArray[np.int64]:
    codes_T = np.frombuffer("".join(texts).encode("utf-32-le"), np.uint32)
    known = np.array([ord(letter) for letter in letters], np.uint32)
    order = np.argsort(known)
    at_T = np.searchsorted(known[order], codes_T).clip(max=len(known) - 1)
    return np.where(known[order][at_T] == codes_T, order[at_T], IGNORED).astype(np.int64)


def _whose(texts: Sequence[str]) -> ResidueLabels:
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    return ResidueLabels(list(texts), np.concatenate([[0], np.cumsum(lengths)]))


def count_classes(values: NDArray[Any], labels: ResidueLabels, num: int) -> NDArray[np.float64]:
    """Residues of each class in each row, (N, K): what a split balances."""
    row_T = np.repeat(np.arange(len(labels.texts)), labels.lengths)
    known = values != IGNORED
    cells = np.bincount(row_T[known] * num + values[known], minlength=len(labels.texts) * num)
    return cells.reshape(-1, num).astype(np.float64)


def check_part_labels(
    values_of: dict[str, NDArray[Any]], labels: Sequence[str], where: str
) -> None:
    """Refuse parts of which nothing can be learned or judged.

    Args:
        values_of: classes of the judged residues of each part, training among them.

    Raises:
        InputError: a part with one label only, or with one that training lacks.
    """
    trained = set(np.unique(values_of["train"]).tolist())
    for part, values in values_of.items():
        if not len(values):
            continue
        found = set(np.unique(values).tolist())
        if strange := sorted(found - trained):
            raise InputError(
                f"{where}, part {part}",
                f"the label {labels[strange[0]]!r}, which no training sequence has",
                "labels that training holds",
                "another split or `--seed`, or `--ignore` with that letter",
            )
        if len(found) < 2:
            raise InputError(
                f"{where}, part {part}",
                f"{len(values):,} residues that all have the label {labels[found.pop()]!r}",
                "at least two labels",
                "another split or `--seed`",
            )
