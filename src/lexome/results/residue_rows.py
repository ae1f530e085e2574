"""Tables of predictions in which a cell holds what is said of every residue of a sequence."""

# Letters: N rows, T residues of all rows end to end.
from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lexome.results.columns import LABEL, PREDICTION


def as_lists(values: NDArray[np.float64], lengths: NDArray[np.int64]) -> pl.Series:
    """Values of all residues as a list a row.

    >>> as_lists(np.array([0.1, 0.2, 0.3]), np.array([1, 2])).to_list()
    [[0.1], [0.2, 0.3]]
    """
    return pl.Series(np.split(values, np.cumsum(lengths)[:-1]), dtype=pl.List(pl.Float64))


def as_texts(letters: Sequence[str], lengths: NDArray[np.int64]) -> list[str]:
    """One letter a residue as one text a row.

    >>> as_texts(["H", "E", "E"], np.array([1, 2]))
    ['H', 'EE']
    """
    whole, ends = "".join(letters), np.cumsum(lengths).tolist()
    return [whole[end - int(n) : end] for end, n in zip(ends, lengths, strict=True)]


def lists_as_text(table: pl.DataFrame) -> pl.DataFrame:
    """A table whose lists are numbers with spaces between, for formats that have no lists.

    >>> lists_as_text(pl.DataFrame({"p": [[0.5, 1e-7]]}))["p"].to_list()
    ['0.5 1e-07']
    """
    lists = [name for name, dtype in table.schema.items() if dtype.is_nested()]
    texts = {
        name: [" ".join(f"{value:.6g}" for value in row) for row in table[name].to_list()]
        for name in lists
    }
    return table.with_columns(pl.Series(name, found) for name, found in texts.items())


def explode_residues(table: pl.DataFrame, ignore: str) -> pl.DataFrame:
    """A row a residue of predictions with a row a sequence; without those whose label is ignored.

    >>> row = {"id": ["a"], "label": ["H-"], "prediction": ["EE"], "probability": [[0.1, 0.2]]}
    >>> explode_residues(pl.DataFrame(row), "-").rows()
    [('a', 'H', 'E', 0.1)]
    """
    lists = [name for name, dtype in table.schema.items() if dtype.is_nested()]
    letters = [pl.col(name).str.split("") for name in (LABEL, PREDICTION)]
    rows = table.with_columns(letters).explode([LABEL, PREDICTION, *lists])
    return rows.filter(~pl.col(LABEL).is_in(list(ignore))) if ignore else rows
