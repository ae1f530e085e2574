"""Rows of any source with their sequence, id and label: what a split or an audit looks at."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lexome.errors import InputError
from lexome.evaluation.kmer_sets import KmerAlphabet
from lexome.io.roles import find_column, guess_column
from lexome.io.sources import is_table, read_records
from lexome.io.tables import open_table
from lexome.sequence.alphabet import tell_alphabet

ALPHABETS = ("auto", "protein", "dna")


class SequenceRows(NamedTuple):
    """Rows in the order of their source; what was not there is None."""

    where: str
    ids: list[str]
    sequences: list[str]
    labels: list[str] | None
    label_column: str | None
    frame: pl.DataFrame | None  # the whole table, where it is one


def read_frame(source: Any) -> tuple[str, pl.DataFrame]:
    """A whole table in memory, and what messages call it."""
    table = open_table(source)
    return table.where, pl.concat(list(table.batches), how="vertical_relaxed")


def read_rows(
    source: Any, sequence: str | None = None, id: str | None = None, label: str | None = None
) -> SequenceRows:
    """All rows of a table, or all records of a FASTA file or another source of sequences.

    A label column is taken where it is asked for, or where a table has one that is called so.

    Raises:
        InputError: no such column, a missing sequence, a label asked of records without any.
    """
    if not is_table(source):
        records = list(read_records(source, sequence, id))
        if label is not None:
            raise InputError(
                str(source), f"records, asked for the label {label!r}", "a table", "no --label"
            )
        if not records:
            raise InputError(str(source), "no records", "at least one", "checking how it was made")
        names, letters = [r.id for r in records], [r.sequence for r in records]
        return SequenceRows(str(source), names, letters, None, None, None)
    where, frame = read_frame(source)
    chosen = find_column(frame.columns, "sequence", sequence, sample=frame.head(1000), where=where)
    letters = sequences_of(frame, chosen.name, where)
    id_column = guess_column(frame.columns, "id", id, where=where)
    label_column = guess_column(frame.columns, "label", label, where=where)
    given: list[str | None] = [None] * frame.height
    if id_column is not None:
        given = _texts(frame, id_column.name)
    labels = None if label_column is None else _texts(frame, label_column.name)
    return SequenceRows(
        where,
        [name or f"row_{row}" for row, name in enumerate(given, start=1)],
        letters,
        None if labels is None else [text or "" for text in labels],
        None if label_column is None else label_column.name,
        frame,
    )


def sequences_of(frame: pl.DataFrame, column: str, where: str) -> list[str]:
    """The sequences of a column, in upper case; InputError names the first row without one."""
    found = [(text or "").strip().upper() for text in _texts(frame, column)]
    for row, letters in enumerate(found, start=1):
        if not letters:
            raise InputError(
                f"{where}, row {row}, column {column!r}",
                "no sequence",
                "one in every row",
                "leaving such rows out of the table",
            )
    return found


def labels_of(frame: pl.DataFrame, column: str, where: str) -> NDArray[np.generic]:
    """(N,) numbers, where all are and there are many different ones, else classes as text.

    Raises:
        InputError: no such column, a row without a label, or the same label everywhere.
    """
    find_column(frame.columns, "label", column, where=where)
    texts = _texts(frame, column)
    for row, text in enumerate(texts, start=1):
        if text is None or not text.strip():
            raise InputError(
                f"{where}, row {row}, column {column!r}",
                "no label",
                "one in every row that is to be balanced",
                "leaving such rows out, or another --stratify",
            )
    classes = np.array([str(text).strip() for text in texts])
    if (classes == classes[0]).all():
        raise InputError(
            f"{where}, column {column!r}",
            f"the label {classes[0]} in all {len(classes)} rows",
            "at least two different labels",
            "another --stratify: nothing can be learned from this column",
        )
    if len(set(classes.tolist())) <= 20:  # by the values: a CSV file knows no type
        return classes
    numbers = frame[column].cast(pl.Float64, strict=False)
    if numbers.null_count() or not numbers.is_finite().all():
        return classes
    return numbers.to_numpy()


def find_alphabet(sequences: Sequence[str], asked: str = "auto") -> KmerAlphabet:
    """ "dna" (RNA is compared as DNA) or "protein", by the letters unless it is asked for.

    >>> find_alphabet(["ACGTACGTNN", "GGGTTTACC"]), find_alphabet(["MKTAYIAKQR"])
    ('dna', 'protein')
    """
    if asked not in ALPHABETS:
        raise InputError("--alphabet", repr(asked), f"one of {', '.join(ALPHABETS)}", "auto")
    if asked != "auto":
        return "dna" if asked == "dna" else "protein"
    return "protein" if tell_alphabet(sequences) == "protein" else "dna"


def _texts(frame: pl.DataFrame, column: str) -> list[str | None]:
    return frame[column].cast(pl.String).to_list()
