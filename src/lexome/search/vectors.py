"""Vectors with ids, read block by block: a Parquet file of `lexome embed`, or arrays in memory."""

# Letters: N rows of a block, D width.
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from lexome.errors import InputError
from lexome.results import columns
from lexome.results.types import Embeddings

FloatArray = NDArray[np.float32]
BLOCK_ROWS = 16_384  # 21 MB at a width of 320


class Vectors(Protocol):
    """Rows of equal width, in an order that stays."""

    @property
    def where(self) -> str: ...  # what messages call them
    @property
    def count(self) -> int: ...
    @property
    def width(self) -> int: ...

    def blocks(self, rows: int = BLOCK_ROWS) -> Iterator[tuple[int, FloatArray]]:
        """The number of each block's first row, and its vectors (N, D)."""

    def ids(self, rows: Iterable[int]) -> dict[int, str]:
        """The id of each of some rows."""


class VectorArray:
    """Vectors in memory."""

    def __init__(self, ids: Sequence[str], vectors: FloatArray, where: str = "embeddings") -> None:
        self.where, self._ids = where, ids
        self._vectors = np.asarray(vectors, np.float32)
        if self._vectors.ndim != 2 or len(ids) != len(self._vectors):
            raise InputError(
                where,
                f"{len(ids)} ids and vectors of shape {self._vectors.shape}",
                "one vector of equal width an id",
                "the output of `lexome.embed`",
            )
        self.count, self.width = self._vectors.shape

    def blocks(self, rows: int = BLOCK_ROWS) -> Iterator[tuple[int, FloatArray]]:
        """The number of each block's first row, and its vectors (N, D)."""
        for start in range(0, self.count, rows):
            yield start, check_finite(self._vectors[start : start + rows], start, self.where)

    def ids(self, rows: Iterable[int]) -> dict[int, str]:
        """The id of each of some rows."""
        return {row: self._ids[row] for row in rows}


class VectorFile:
    """The vectors of a Parquet file, of which one block at a time is in memory."""

    def __init__(self, path: Path) -> None:
        self.path, self.where = path, str(path)
        schema = read_schema(path)
        if not is_embeddings(schema):
            seen = ", ".join(f"{f.name} ({f.type})" for f in schema)[:200]
            raise InputError(
                self.where,
                f"the columns {seen}",
                f"{columns.ID} and {columns.VECTOR}, a list of fixed size: one vector a row",
                "`lexome embed IN -o FILE.parquet` without --per-residue",
            )
        self.width = int(schema.field(columns.VECTOR).type.list_size)
        with pq.ParquetFile(path) as file:
            self.count = int(file.metadata.num_rows)

    def blocks(self, rows: int = BLOCK_ROWS) -> Iterator[tuple[int, FloatArray]]:
        """The number of each block's first row, and its vectors (N, D)."""
        start = 0
        for column in self._read(columns.VECTOR, rows):
            values = column.flatten()  # leaves out the numbers of rows that are null
            if column.null_count or values.null_count:
                raise InputError(
                    self.where,
                    f"rows without a vector behind row {start}",
                    "a vector in each",
                    "leaving those rows out",
                )
            block_ND = values.to_numpy(zero_copy_only=False).astype(np.float32, copy=False)
            block_ND = block_ND.reshape(len(column), self.width)
            yield start, check_finite(block_ND, start, self.where)
            start += len(column)

    def ids(self, rows: Iterable[int]) -> dict[int, str]:
        """The id of each of some rows; reads the column of ids once."""
        wanted = np.unique(np.fromiter(rows, np.int64))
        found: dict[int, str] = {}
        start = 0
        for column in self._read(columns.ID, 8 * BLOCK_ROWS):
            low, high = np.searchsorted(wanted, [start, start + len(column)])
            here = wanted[low:high]
            names = column.take(pa.array(here - start)).to_pylist()
            found |= {int(row): str(name) for row, name in zip(here, names, strict=True)}
            start += len(column)
        return found

    def _read(self, column: str, rows: int) -> Iterator[Any]:
        try:
            # Without pre_buffer: else a whole row group waits in memory, compressed.
            with pq.ParquetFile(self.path, pre_buffer=False) as file:
                for batch in file.iter_batches(rows, columns=[column]):
                    yield batch.column(0)
        except pa.ArrowException as error:
            raise _damaged(self.path) from error


def is_embeddings(schema: "pa.Schema") -> bool:
    """Whether a Parquet file has ids and one vector of fixed size a row."""
    if columns.ID not in schema.names or columns.VECTOR not in schema.names:
        return False
    kind = schema.field(columns.VECTOR).type
    return bool(pa.types.is_fixed_size_list(kind) and pa.types.is_floating(kind.value_type))


def read_schema(path: Path) -> "pa.Schema":
    """The columns of a Parquet file.

    Raises:
        InputError: no such file, or none that can be read.
    """
    if not path.is_file():
        raise InputError(str(path), "no such file", "a Parquet file", "checking the path")
    try:
        return pq.read_schema(path)
    except pa.ArrowException as error:
        raise _damaged(path) from error


def check_finite(block_ND: FloatArray, start: int, where: str) -> FloatArray:
    """The block itself.

    Raises:
        InputError: a NaN or an infinity in it, named by its row.
    """
    if not np.isfinite(block_ND).all():
        bad = int(np.flatnonzero(~np.isfinite(block_ND).all(axis=1))[0])
        raise InputError(
            f"{where}, row {start + bad + 1}",
            "a number that is not finite",
            "finite vectors",
            "embedding again with `--dtype fp32`",
        )
    return block_ND


def _damaged(path: Path) -> InputError:
    return InputError(
        str(path), "a damaged Parquet file", "a whole one", "`lexome embed` once more"
    )


def as_vectors(source: "str | Path | Embeddings | Vectors") -> Vectors:
    """A path as a `VectorFile`, the answer of `lexome.embed` as a `VectorArray`."""
    if isinstance(source, str | Path):
        return VectorFile(Path(source))
    if isinstance(source, Embeddings):
        return VectorArray(source.ids, source.vectors)
    return source
