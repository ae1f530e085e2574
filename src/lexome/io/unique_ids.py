"""Refuses an id that comes twice, holding 8 bytes a row, so that 100 million rows are no burden."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lexome.errors import InputError
from lexome.io.sources import is_path, is_table
from lexome.io.tables import is_frame
from lexome.sequence.records import Record

BATCH_ROWS = 16_384
LARGEST_RUN = 1 << 24  # digests; runs of this size (128 MB) are not merged: that takes them twice

REMEDIES = {  # by what a row of the source is called
    "row": "unique ids, another column with `--id COLUMN`, or `--id ''` to number the rows",
    "record": "a name of its own for each record (its first word is the id)",
    "item": "a name of its own for each item",
    "alignment": "a file name of its own for each: without its endings it is the id",
}


class Place(NamedTuple):
    """Where records come from, and what one of them is called there, for messages."""

    where: str
    row: str  # row, record, item or alignment


def find_place(source: Any) -> Place:
    """What messages call a source and its rows.

    >>> find_place("proteins.fasta"), find_place(["MKT"])
    (Place(where='proteins.fasta', row='record'), Place(where='source', row='item'))
    """
    if is_frame(source):
        return Place("table (a frame)", "row")
    if isinstance(source, str | Path) and is_path(str(source)):
        name = "standard input" if str(source) == "-" else str(source)
        return Place(name, "row" if is_table(source) else "record")
    if hasattr(source, "read"):
        return Place(str(getattr(source, "name", "stream")), "record")
    return Place("source", "item")


def refuse_repeats(records: Iterable[Record], place: Place) -> Iterator[Record]:
    """Pass the records on, one by one; InputError, at the latest at the end, for an id met before.

    The ids are looked at a batch at a time, so up to a batch of records has passed before the
    error comes: for readers that give nothing away before the end.
    """
    seen, waiting = UniqueIds(place), []
    for record in records:
        waiting.append(record.id)
        if len(waiting) == BATCH_ROWS:
            seen.add(waiting)
            waiting = []
        yield record
    seen.add(waiting)


def repeated_id(place: Place, id: str, row: int, earlier: int | None) -> InputError:
    """The error for an id that stands twice; `earlier` is the row of the first, where known."""
    first = f", which {place.row} {earlier:,} has too" if earlier else ", which came before"
    where = f"{place.where}, {place.row} {row:,}"
    return InputError(where, f"the id {id!r}{first}", "each id once", REMEDIES[place.row])


class UniqueIds:
    """Takes ids in the order of their rows and refuses one that it has taken before.

    Of the last rows it keeps the numbers, of all others a 64-bit digest in sorted runs, which are
    merged as they grow. Two different ids share a digest, and are refused by mistake, in one of
    4,000 inputs of 100 million rows. The digest is Python's own hash of a text, which differs from
    process to process: an id refused by mistake passes the next time.
    """

    def __init__(self, place: Place) -> None:
        self.place, self.num_rows = place, 0
        self._recent: dict[int, int] = {}  # digest -> row
        self._runs: list[NDArray[np.int64]] = []  # each sorted; largest first

    def add(self, ids: Sequence[str]) -> None:
        """Take the ids of the next rows.

        Raises:
            InputError: naming the first row whose id was taken before.
        """
        digests = np.fromiter(map(hash, ids), np.int64, len(ids))
        settled = self._are_settled(digests)
        for id, digest, is_settled in zip(ids, digests.tolist(), settled.tolist(), strict=True):
            self.num_rows += 1
            earlier = self._recent.setdefault(digest, self.num_rows)
            if earlier != self.num_rows:
                raise repeated_id(self.place, id, self.num_rows, earlier)
            if is_settled:
                raise repeated_id(self.place, id, self.num_rows, None)
        if len(self._recent) >= BATCH_ROWS:
            self._settle()

    def _are_settled(self, digests: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which digests stand in a run."""
        found = np.zeros(len(digests), bool)
        order = np.argsort(digests)  # neighbours are looked up in memory that is at hand
        wanted = digests[order]
        for run in self._runs:
            at = np.searchsorted(run, wanted)
            found[order] |= run[np.minimum(at, len(run) - 1)] == wanted
        return found

    def _settle(self) -> None:
        """Make a run of the recent rows; merge runs of like size, as one counts in binary."""
        run = np.fromiter(self._recent, np.int64, len(self._recent))
        run.sort()
        while self._runs and len(self._runs[-1]) <= len(run) < LARGEST_RUN:
            run = np.concatenate([self._runs.pop(), run])
            run.sort(kind="stable")  # merges what is sorted already, in linear time
        self._runs.append(run)
        self._recent = {}
