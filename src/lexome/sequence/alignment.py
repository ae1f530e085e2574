"""A multiple sequence alignment, and how a deep one is thinned."""

# Letters: R rows, C columns.
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lexome.errors import InputError


class Alignment(NamedTuple):
    """Rows of equal length; the first is the query. Gaps are `-`."""

    name: str
    ids: list[str]
    rows: list[str]

    @property
    def depth(self) -> int:
        """How many rows there are."""
        return len(self.rows)

    @property
    def columns(self) -> int:
        """How long each row is."""
        return len(self.rows[0])


def check_alignment(alignment: Alignment) -> Alignment:
    """The alignment itself.

    Raises:
        InputError: no row, no column, or rows of unequal length, naming the row.
    """
    if not alignment.rows or not alignment.rows[0]:
        seen = "no row" if not alignment.rows else "no column"
        raise InputError(alignment.name, seen, "an alignment", "checking how it was made")
    for number, (id, row) in enumerate(zip(alignment.ids, alignment.rows, strict=True), 1):
        if len(row) != alignment.columns:
            raise InputError(
                f"{alignment.name}, row {number} ({id})",
                f"{len(row):,} columns",
                f"{alignment.columns:,}, as the query has",
                "an A3M or A2M file: insertions in lower case or as dots, gaps as -",
            )
    return alignment


def check_depth(depth: int | None) -> None:
    """Refuse a number of rows at which no query is left; None is all rows.

    Raises:
        InputError: less than one.
    """
    if depth is not None and depth < 1:
        raise InputError("depth", str(depth), "at least 1", "`--depth 128`")


def thin(alignment: Alignment, depth: int) -> Alignment:
    """The query and the rows that differ most: at most `depth` of them, in their order.

    Row by row the one is taken whose mean Hamming distance to all that were taken is the
    largest (the first of equals). Source: Rao et al. 2021, "diversity maximizing" subsampling.

    >>> thin(Alignment("x", list("abc"), ["AAAA", "AAAC", "CCCC"]), 2).ids
    ['a', 'c']
    """
    check_depth(depth)
    if alignment.depth <= depth:
        return alignment
    text = "".join(alignment.rows).encode("latin-1", "replace")
    letters_RC = np.frombuffer(text, np.uint8).reshape(alignment.depth, -1)
    total_R = np.zeros(alignment.depth)
    taken: list[int] = []
    newest = 0
    while len(taken) < depth:
        taken.append(newest)
        total_R += (letters_RC != letters_RC[newest]).mean(axis=1)
        candidates_R: NDArray[np.float64] = total_R.copy()
        candidates_R[taken] = -1
        newest = int(candidates_R.argmax())
    kept = sorted(taken)
    return Alignment(
        alignment.name, [alignment.ids[i] for i in kept], [alignment.rows[i] for i in kept]
    )
