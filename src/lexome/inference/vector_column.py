"""The column of a Parquet file that holds vectors: one a row, or one a residue of each row."""

# Letters: L residues, D width.
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lexome.errors import InputError
from lexome.inference.parts import check_output

VECTOR_TYPES = {"float16": pl.Float16, "float32": pl.Float32}
FLOAT16_LIMIT = float(np.finfo(np.float16).max)


class Embedded(Protocol):
    """What a model gave for one row."""

    @property
    def id(self) -> str: ...
    @property
    def values(self) -> NDArray[Any]: ...  # (D,), or (L, D)


def check_vector_output(output: Path, vector_type: str) -> None:
    """Refuse before the work what could not be written after it.

    Raises:
        InputError: another type of numbers than there is, a folder, or no Parquet file.
    """
    if vector_type not in VECTOR_TYPES:
        raise InputError("vectors", repr(vector_type), "float16 or float32", "`--vectors float32`")
    if output.suffix not in (".parquet", ".pq"):
        raise InputError(str(output), f"the ending {output.suffix!r}", ".parquet", "`-o x.parquet`")
    check_output(output)


def vector_column(
    rows: Sequence[Embedded], width: int, vector_type: str, is_per_residue: bool
) -> pl.Series:
    """Fixed-size lists of `width` numbers; with `is_per_residue` a list of such lists a row.

    Raises:
        InputError: a value beyond the range of float16, where that was asked for.
    """
    if vector_type == "float16":
        for row in rows:
            largest = np.abs(row.values).max()
            if largest > FLOAT16_LIMIT:
                raise InputError(
                    row.id,
                    f"a value of {largest:.3g}",
                    f"at most {FLOAT16_LIMIT:,.0f}, the largest float16",
                    "`--vectors float32`",
                )
    element, numpy_type = pl.Array(VECTOR_TYPES[vector_type], width), np.dtype(vector_type)
    if is_per_residue:
        matrices = [pl.Series(row.values.astype(numpy_type), dtype=element) for row in rows]
        return pl.Series(matrices, dtype=pl.List(element))
    return pl.Series(np.stack([row.values for row in rows]).astype(numpy_type), dtype=element)
