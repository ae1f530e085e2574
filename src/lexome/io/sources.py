"""Records from anything that may hold sequences: a file, a sequence, a list, a frame."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from lexome.errors import InputError
from lexome.io.formats import FORMATS, GENBANK, ending_of, find_format, load_reader
from lexome.io.streams import open_bytes
from lexome.io.tables import is_frame, read_table_records
from lexome.sequence.records import Record, RowRecord

ONE_SEQUENCE = re.compile(r"(?:[A-Za-z*.-]|<mask>)+")
# "protein.fsta" is a typing error rather than a sequence with a gap: single dots, small letters
FILE_NAME = re.compile(r"[^.]+(\.[a-z][a-z0-9]{0,7})+")

__all__ = ["is_path", "open_bytes", "read_records"]


def read_records(
    source: Any, sequence: str | None = None, id: str | None = None, proteins: bool = False
) -> Iterator[Record]:
    """Yield the records of any source in its order, one batch at a time in memory.

    A source is
    - a path, or "-" for stdin: FASTA, FASTQ, GenBank, CSV, TSV or Parquet, told by the ending, else
      by the first bytes; all text may be gzipped;
    - a sequence in a `str`: what is no file, does not look like the name of one, and consists of
      letters, `*`, `-`, `.` and `<mask>`; it is called sequence_1;
    - an iterable of sequences (sequence_1, sequence_2, ...), of (name, sequence) or of records; a
      dictionary from name to sequence; a polars or pandas series;
    - a polars or pandas frame, or an open binary stream.

    `sequence` and `id` name columns of a table; without them they are guessed (`guess_column`).
    With `proteins`, a GenBank file gives the translations of its coding regions.

    Raises InputError for what is none of these, and what the format's reader raises.

    >>> [record.id for record in read_records(["MKT", "GAVL"])]
    ['sequence_1', 'sequence_2']
    """
    if isinstance(source, str) and not is_path(source):
        yield Record("sequence_1", _check_sequence(source))
    elif isinstance(source, str | Path) or hasattr(source, "read"):
        yield from _read_file(source, sequence, id, proteins)
    elif is_frame(source):
        yield from read_table_records(source, sequence, id)
    elif isinstance(source, Mapping):
        yield from _read_items(source.items())
    elif isinstance(source, Iterable) and not isinstance(source, bytes):
        yield from _read_items(source)
    else:
        raise InputError(
            "source",
            f"a value of type {type(source).__name__}",
            "a path, a sequence, a list of sequences or a frame",
            "one of these",
        )


def can_be_read_twice(source: Any) -> bool:
    """Whether a source gives the same records again: no pipe, no stream, no generator."""
    if isinstance(source, str | Path):
        return str(source) != "-" and (not is_path(str(source)) or Path(source).is_file())
    return not (hasattr(source, "read") or isinstance(source, Iterator))


def is_table(source: Any) -> bool:
    """Whether a source is a frame, or a path whose ending is a table's."""
    if isinstance(source, str | Path):
        found = FORMATS.get(ending_of(source))
        return found is not None and found.is_table and Path(source).exists()
    return is_frame(source)


def is_path(text: str) -> bool:
    """Whether a text names a file (there or missing) rather than being a sequence.

    >>> is_path("proteins.fasta"), is_path("MKTAYIAKQR")
    (True, False)
    """
    if text == "-" or _looks_like_file(text):
        return True
    return os.path.exists(text)  # noqa: PTH110 - Path.exists raises on a text of 100,000 letters


def _looks_like_file(text: str) -> bool:
    if os.sep in text or "/" in text or ending_of(text) in FORMATS:
        return True
    return FILE_NAME.fullmatch(text) is not None


def _check_sequence(text: str) -> str:
    if ONE_SEQUENCE.fullmatch(text) is None:
        if not text.strip():
            raise InputError("source", "an empty text", "a path or a sequence", "one of these")
        raise InputError(
            f"source {text[:40]!r}",
            "neither a file nor a sequence of letters only",
            "a path, or letters with '*', '-', '.' and '<mask>'",
            "checking the path, or leaving out digits and spaces",
        )
    return text


def _read_file(
    source: Any, sequence: str | None, id: str | None, proteins: bool
) -> Iterator[Record]:
    with open_bytes(source) as stream:
        found = find_format(stream.where, stream.first_bytes())
        reader = load_reader(found)
        if found.is_table:
            yield from reader(stream, sequence, id)
        elif found == GENBANK:
            yield from reader(stream, proteins)
        else:
            yield from reader(stream)


def _read_items(items: Iterable[Any]) -> Iterator[Record]:
    if isinstance(items, pl.Series):
        items = items.to_list()
    number = 0
    for number, item in enumerate(items, start=1):
        where = f"item {number} of the source"
        if isinstance(item, str):
            if _looks_like_file(item):
                raise InputError(
                    where,
                    f"{item[:80]!r}, which looks like a file",
                    "a sequence",
                    "to give the path alone, or to read each file by itself",
                )
            yield Record(f"sequence_{number}", item)
        elif isinstance(item, tuple | list) and len(item) == 2 and isinstance(item[1], str):
            yield item if isinstance(item, Record) else RowRecord(str(item[0]), item[1])
        else:
            raise InputError(
                where,
                f"{str(item)[:40]!r} of type {type(item).__name__}",
                "a sequence, a (name, sequence) or a Record",
                "leaving it out, or to give the sequence as text",
            )
    if number == 0:
        raise InputError("source", "no sequences", "at least one", "checking how it was made")
