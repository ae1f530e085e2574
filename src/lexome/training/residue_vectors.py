"""A vector for every residue from a frozen backbone: made once, read at every epoch."""

# Letters: T residues of all sequences end to end, D width, L residues of one, N sequences.
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from lexome.inference.embed import Recipe, embed_records
from lexome.inference.model import Model
from lexome.progress import show_progress
from lexome.results.files import write_text
from lexome.sequence.records import RowRecord

ROWS_BETWEEN_MARKS = 512


class ResidueVectors(NamedTuple):
    """Rows of vectors, in memory or mapped from a file that a killed run takes up again."""

    values_TD: NDArray[np.float16]
    bounds_N1: NDArray[np.int64]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Residues of each row."""
        return np.diff(self.bounds_N1)

    def one(self, row: int) -> NDArray[np.float16]:
        """(L, D)."""
        return self.values_TD[self.bounds_N1[row] : self.bounds_N1[row + 1]]


def make_residue_vectors(
    model: Model,
    long: str,
    ids: Sequence[str],
    sequences: Sequence[str],
    used: Sequence[int],
    path: Path | None = None,
    quiet: bool = True,
) -> ResidueVectors:
    """The last layer's vectors of clean sequences.

    Args:
        model: computes them, in its own precision; they are kept in fp16.
        long: what becomes of long sequences.
        ids: for messages.
        sequences: clean ones.
        used: residues that `long` leaves of each.
        path: a file for them; what is already in it is not made again. In memory where None.
    """
    bounds_N1 = np.concatenate([[0], np.cumsum(used, dtype=np.int64)])
    shape = (int(bounds_N1[-1]), model.network.config.width)
    done = 0
    if path is None:
        values_TD = np.empty(shape, np.float16)
    else:
        mark = path.with_suffix(".rows")
        done = int(mark.read_text()) if path.exists() and mark.exists() else 0
        if not done:  # a mark without its vectors would call what is not made yet whole
            mark.unlink(missing_ok=True)
        values_TD = open_memmap(path, "r+" if done else "w+", np.float16, shape)
    records = [RowRecord(ids[i], sequences[i]) for i in range(done, len(ids))]
    found = embed_records(model, records, Recipe(pooling="none", long=long))
    with show_progress("Embedding", sum(used), unit="residues", quiet=quiet) as progress:
        progress.advance(int(bounds_N1[done]))
        progress.restart_clock()
        for row, vectors in enumerate(found, start=done):
            values_TD[bounds_N1[row] : bounds_N1[row + 1]] = vectors.values
            progress.advance(len(vectors.values))
            if path is not None and (row + 1) % ROWS_BETWEEN_MARKS == 0:
                _mark(values_TD, mark, row + 1)
    if path is not None:
        _mark(values_TD, mark, len(ids))
    return ResidueVectors(values_TD, bounds_N1)


def _mark(values_TD: NDArray[np.float16], mark: Path, rows: int) -> None:
    """Write down how many rows are whole, after they are on disk."""
    assert isinstance(values_TD, np.memmap)
    values_TD.flush()
    write_text(mark, str(rows))
