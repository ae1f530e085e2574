"""Reads CSV and TSV: every value as text, any size of stream in bounded memory."""

import re
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.csv

from lexome.errors import InputError
from lexome.io.streams import ByteStream, count_lines, decode_text, empty_file, read_blocks

STRETCH_BYTES = 1 << 22  # parsed at a time: several blocks, as each parse has a fixed cost
LONGEST_ROW = 1 << 30  # a quote that is never closed must not swallow all memory
NEWLINE, QUOTE = ord("\n"), ord('"')
QUOTED = re.compile(rb'"((?:[^"]|"")*+)"')
NUMBER = re.compile(r"[-+]?\d+(\.\d+)?([eE][-+]?\d+)?")
RESIDUES = re.compile(r"[A-Z*-]+")


class Row(NamedTuple):
    """One row of text: its fields, the number of its first line, the offset behind its newline."""

    fields: list[str]
    line: int
    end: int


class Delimited(NamedTuple):
    """The columns of a table, and its rows still to come."""

    columns: list[str]
    frames: Iterator[pl.DataFrame]


def read_delimited(stream: ByteStream, delimiter: str) -> Delimited:
    """The columns of a table and its rows, in frames of text columns.

    Fields may stand in double quotes and then hold delimiters, newlines and doubled quotes; blank
    lines are skipped; a column without a name (the index that pandas writes) is called column_N.
    When a comma is asked for and the first line has none, a semicolon or a tab in it is taken.
    Raises InputError with the line for a row with too few or too many fields, a quote that is not
    closed, text that is not UTF-8, and a first row that names no columns or one of them twice.
    """
    blocks = read_blocks(stream)
    start = b""
    for block in blocks:
        start = (start + block).lstrip(b"\n") if not start else start + block
        if b"\n" in start and _first_row(start, delimiter, stream.where) is not None:
            break
    if not start.strip():
        raise empty_file(stream.where, "table with a header")
    start = start if b"\n" in start else start + b"\n"
    if delimiter == ",":
        delimiter = _delimiter_of(start.split(b"\n", 1)[0])
    header = _first_row(start, delimiter, stream.where)
    if header is None:
        raise _open_quote(stream.where, 1)
    columns = _check_header(header.fields, stream.where)
    first_line = 1 + count_lines(start[: header.end])
    frames = _read_frames(start[header.end :], blocks, columns, delimiter, stream, first_line)
    return Delimited(columns, frames)


def split_rows(text: bytes, delimiter: str, where: str, line: int = 1) -> Iterator[Row]:
    """The rows that end within the text: the plain meaning of a table, field by field.

    A quote opens a quoted field at its start only; elsewhere (5" cap) it is a letter like others.
    """
    plain = re.compile(rb"[^\n%s]*" % re.escape(delimiter.encode()))
    fields: list[str] = []
    position, row_line = 0, line
    while position < len(text):
        quoted = text[position] == QUOTE
        match = (QUOTED if quoted else plain).match(text, position)
        if match is None:
            return  # a quote that does not close within the text
        line += match[0].count(b"\n")
        value = match[1].replace(b'""', b'"') if quoted else match[0]
        after = text[match.end() : match.end() + 1]
        if after not in (b"\n", b"", delimiter.encode()):
            raise InputError(
                f"{where}, line {line}",
                f"{after.decode(errors='replace')!r} behind a closing quote",
                "the end of the field there",
                "doubling the quotes that belong to the text",
            )
        fields.append(value.decode())
        position = match.end() + 1
        if after == b"\n":
            line += 1
            if fields != [""] or quoted:
                yield Row(fields, row_line, position)
            fields, row_line = [], line


def _read_frames(
    start: bytes,
    blocks: Iterator[bytes],
    columns: list[str],
    delimiter: str,
    stream: ByteStream,
    line: int,
) -> Iterator[pl.DataFrame]:
    with stream:
        for text, is_regular in _whole_rows(start, blocks, delimiter, stream.where, line):
            frame = _parse_fast(text, columns, delimiter) if is_regular else None
            if frame is None:
                frame = _parse_plain(text, columns, delimiter, stream.where, line)
            line += count_lines(text)
            if frame.height:
                yield frame


def _whole_rows(
    start: bytes, blocks: Iterator[bytes], delimiter: str, where: str, line: int
) -> Iterator[tuple[bytes, bool]]:
    """Stretches of text that end with a row, and whether quotes stand only where they must."""
    waiting, size, goal = [start], len(start), STRETCH_BYTES
    for block in blocks:
        waiting.append(block)
        size += len(block)
        if size < goal:
            continue
        text = b"".join(waiting)
        cut, is_regular = _last_row_end(text, delimiter, where, line)
        if cut:
            yield text[:cut], is_regular
            line += count_lines(text[:cut])
        elif size > LONGEST_ROW:
            raise _open_quote(where, line)
        waiting, size = [text[cut:]], len(text) - cut
        goal = STRETCH_BYTES if cut else 2 * size  # doubled, so that a long row costs linear time
    text = b"".join(waiting)
    if text and not text.endswith(b"\n"):
        text += b"\n"
    if text:
        cut, is_regular = _last_row_end(text, delimiter, where, line)
        if cut < len(text) and text[cut:].strip(b"\n"):
            raise _open_quote(where, line + count_lines(text[:cut]))
        yield text, is_regular


def _last_row_end(text: bytes, delimiter: str, where: str, line: int) -> tuple[int, bool]:
    """The offset behind the last whole row, and whether the quotes are regular.

    Where each quote opens at the start of a field or closes at its end, a newline ends a row just
    when an even number of quotes stands before it; else the rows are told apart one by one.
    """
    if b'"' not in text:
        return text.rfind(b"\n") + 1, True
    bytes_of_text = np.frombuffer(text, np.uint8)
    quotes = np.flatnonzero(bytes_of_text == QUOTE)
    padded = np.concatenate([[NEWLINE], bytes_of_text, [NEWLINE]])
    borders = [NEWLINE, QUOTE, ord(delimiter)]
    before_opening, after_closing = padded[quotes[0::2]], padded[quotes[1::2] + 2]
    if not (np.isin(before_opening, borders).all() and np.isin(after_closing, borders).all()):
        return max((row.end for row in split_rows(text, delimiter, where, line)), default=0), False
    newlines = np.flatnonzero(bytes_of_text == NEWLINE)
    ends = newlines[np.searchsorted(quotes, newlines) % 2 == 0]
    return (int(ends[-1]) + 1 if ends.size else 0), True


def _parse_fast(text: bytes, columns: list[str], delimiter: str) -> pl.DataFrame | None:
    """The rows by pyarrow; None when it refuses them, so that the plain way says why."""
    types = {column: pa.large_string() for column in columns}
    try:
        table = pyarrow.csv.read_csv(
            pa.BufferReader(text),
            pyarrow.csv.ReadOptions(column_names=columns, block_size=len(text) + 1),
            pyarrow.csv.ParseOptions(delimiter=delimiter, newlines_in_values=b'"' in text),
            pyarrow.csv.ConvertOptions(column_types=types, strings_can_be_null=False),
        )
    except pa.ArrowInvalid:
        return None
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    return frame


def _parse_plain(
    text: bytes, columns: list[str], delimiter: str, where: str, line: int
) -> pl.DataFrame:
    decode_text(text, where, line)  # for its error, which names the line
    rows = []
    for row in split_rows(text, delimiter, where, line):
        if len(row.fields) != len(columns):
            raise InputError(
                f"{where}, line {row.line}",
                f"{len(row.fields)} fields",
                f"{len(columns)}, as in the header",
                "quoting fields that hold a delimiter, or mending the line",
            )
        rows.append(row.fields)
    return pl.DataFrame(rows, schema=dict.fromkeys(columns, pl.String), orient="row")


def _first_row(text: bytes, delimiter: str, where: str) -> Row | None:
    whole = text[: text.rfind(b"\n") + 1]
    decode_text(whole.split(b"\n", 1)[0], where, 1)
    return next(split_rows(whole, delimiter, where), None)


def _delimiter_of(first_line: bytes) -> str:
    if b"," not in first_line:
        for other in (";", "\t"):
            if other.encode() in first_line:
                return other
    return ","


def _check_header(fields: list[str], where: str) -> list[str]:
    """The column names, or InputError when the first row looks like data or repeats a name."""
    numbers = [field for field in fields if NUMBER.fullmatch(field.strip())]
    residues = [field for field in fields if RESIDUES.fullmatch(field.strip())]
    longest = max(residues, key=len, default="")
    if len(numbers) == len(fields) or len(longest) >= 30 or (numbers and len(longest) >= 10):
        raise InputError(
            f"{where}, line 1",
            f"no header but data ({(longest or fields[0])[:30]!r})",
            "the names of the columns",
            "adding a first line such as 'id,sequence,label'",
        )
    columns = [field.strip() or f"column_{i}" for i, field in enumerate(fields, start=1)]
    for column in columns:
        if columns.count(column) > 1:
            raise InputError(
                f"{where}, line 1",
                f"two columns called {column!r}",
                "different names",
                "renaming or removing one of them",
            )
    return columns


def _open_quote(where: str, line: int) -> InputError:
    return InputError(
        f"{where}, line {line}",
        'a row with a quote (") that is not closed before the end',
        "a closing quote",
        "closing it, or doubling a quote that belongs to the text",
    )
