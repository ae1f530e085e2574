"""Reads tables, a batch of rows at a time: CSV and TSV (also .gz), Parquet, and frames."""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, NamedTuple

import polars as pl
import pyarrow as pa
import pyarrow.parquet

from lexome.errors import InputError
from lexome.io.delimited import read_delimited
from lexome.io.formats import CSV, PARQUET, TSV, find_format
from lexome.io.roles import find_column as find_column
from lexome.io.roles import guess_column as guess_column
from lexome.io.streams import ByteStream, Source, open_bytes
from lexome.sequence.records import Record, RowRecord

BATCH_ROWS = 16_384
DELIMITERS = {CSV.name: ",", TSV.name: "\t"}


class Table(NamedTuple):
    """A table that is open: its columns, and its rows still to come."""

    where: str  # for messages
    columns: list[str]
    batches: Iterator[pl.DataFrame]


def open_table(
    source: Source | Any, batch_rows: int = BATCH_ROWS, columns: Sequence[str] | None = None
) -> Table:
    """A table's columns and its rows, in batches of at most `batch_rows`, of bounded memory.

    CSV and TSV come as text, so that ids and labels such as "007" stay as they are; Parquet and
    frames keep their types. `columns` leaves out the others. "-" (stdin) can be read only once:
    that is what this function is for, where `table_columns` and `read_table` would open it twice.

    Raises InputError for a table without header, columns or rows, and for damaged files.
    """
    if is_frame(source):
        table = _check_asked(_open_frame(source), columns)
    else:
        table = _open_file(source, batch_rows, columns)
    wanted = list(columns) if columns is not None else table.columns
    return Table(table.where, wanted, _cut_batches(table, batch_rows, wanted))


def read_table(
    source: Source | Any, batch_rows: int = BATCH_ROWS, columns: Sequence[str] | None = None
) -> Iterator[pl.DataFrame]:
    r"""Yield the rows of a table in batches of at most `batch_rows`, as `open_table` does.

    >>> import io
    >>> next(read_table(io.BytesIO(b"id,sequence\n007,MKT\n"))).rows()
    [('007', 'MKT')]
    """
    yield from open_table(source, batch_rows, columns).batches


def table_columns(source: Source | Any) -> list[str]:
    """The names of a table's columns, in its order; no row is read but the first few."""
    if is_frame(source):
        return open_table(source).columns
    with open_bytes(source) as stream:
        return open_table(stream).columns


def read_table_records(
    source: Source | Any, sequence: str | None = None, id: str | None = None
) -> Iterator[Record]:
    """Yield a record a row, named by its id.

    The columns are those asked for, or guessed as `guess_column` does; without an id column, and
    where an id is missing, the id is "row_" and the number of the row, from 1. A missing sequence
    is an empty one. Everything else in the table is left out.
    """
    table = open_table(source)
    first = next(table.batches)
    choice = find_column(table.columns, "sequence", sequence, sample=first, where=table.where)
    id_choice = guess_column(table.columns, "id", id, where=table.where)
    row = 0
    for batch in chain([first], table.batches):
        column = batch[choice.name]
        if column.dtype not in (pl.String, pl.Null, pl.Categorical, pl.Enum):
            raise InputError(
                f"{table.where}, column {choice.name!r}",
                f"values of type {column.dtype}",
                "sequences",
                "to choose another with --sequence COLUMN",
            )
        sequences = column.cast(pl.String).str.strip_chars().fill_null("").to_list()
        ids = [None] * batch.height
        if id_choice is not None:
            ids = batch[id_choice.name].cast(pl.String).to_list()
        for name, letters in zip(ids, sequences, strict=True):
            row += 1
            yield RowRecord(name or f"row_{row}", letters)


def is_frame(source: Any) -> bool:
    """Whether a value is a frame of polars or pandas, or an Arrow table."""
    if isinstance(source, pl.DataFrame | pl.LazyFrame | pa.Table):
        return True
    return hasattr(source, "columns") and hasattr(source, "iloc")  # pandas, without importing it


def _open_frame(source: Any) -> Table:
    try:
        if isinstance(source, pl.DataFrame | pl.LazyFrame):
            frame = source.lazy().collect()
        elif isinstance(source, pa.Table):
            frame = pl.DataFrame(source)
        else:
            frame = pl.from_pandas(source.rename(columns=str).reset_index(drop=True))
    except (pa.ArrowException, pl.exceptions.PolarsError, TypeError, ValueError) as error:
        raise InputError(
            "table (a frame)",
            f"columns that cannot be read ({error})",
            "one type of value in each column, and each name once",
            "`frame.astype(str)` for the column in question",
        ) from error
    return Table("table (a frame)", frame.columns, iter([frame]))


def _open_file(source: Source, batch_rows: int, columns: Sequence[str] | None) -> Table:
    stream = open_bytes(source)
    try:
        return _check_asked(_open_stream(stream, batch_rows, columns), columns)
    except BaseException:
        stream.close()
        raise


def _open_stream(stream: ByteStream, batch_rows: int, columns: Sequence[str] | None) -> Table:
    found = find_format(stream.where, stream.first_bytes())
    if found == PARQUET:
        return _open_parquet(stream, batch_rows, columns)
    if not found.is_table:
        raise InputError(
            stream.where,
            f"a {found.name} file",
            "a table (.csv, .tsv, .parquet)",
            "another file: this one has sequences but no columns",
        )
    columns_there, frames = read_delimited(stream, DELIMITERS[found.name])
    return Table(stream.where, columns_there, frames)


def _open_parquet(stream: ByteStream, batch_rows: int, columns: Sequence[str] | None) -> Table:
    where, origin = stream.where, stream.origin
    if origin is None:
        raise InputError(
            where,
            "Parquet in a pipe or gzipped",
            "a plain file",
            "saving it as one",
        )
    if isinstance(origin, str):
        stream.close()
    else:
        origin.seek(stream.origin_start)
    try:
        # a buffer instead of whole row groups keeps memory bounded
        file = pa.parquet.ParquetFile(origin, buffer_size=1 << 20, pre_buffer=False)
    except (pa.ArrowException, OSError) as error:
        raise _damaged(where, error) from error
    names = list(file.schema_arrow.names)
    wanted = [name for name in names if columns is None or name in columns]

    def batches() -> Iterator[pl.DataFrame]:
        try:
            with file:
                for batch in file.iter_batches(batch_rows, columns=wanted):
                    yield pl.DataFrame(pa.Table.from_batches([batch]))
        except (pa.ArrowException, OSError) as error:
            raise _damaged(where, error) from error

    return Table(where, names, batches())


def _check_asked(table: Table, columns: Sequence[str] | None) -> Table:
    for column in columns or []:
        find_column(table.columns, "id", column, where=table.where)  # its error names the nearest
    return table


def _damaged(where: str, error: Exception) -> InputError:
    reason = str(error).split("\n", 1)[0].rstrip(".")
    return InputError(
        where, f"a damaged Parquet file ({reason})", "a whole one", "to copy or download it again"
    )


def _cut_batches(table: Table, batch_rows: int, columns: list[str]) -> Iterator[pl.DataFrame]:
    is_empty = True
    for frame in table.batches:
        chosen = frame.select(columns)
        for batch in chosen.iter_slices(batch_rows):
            is_empty = is_empty and not batch.height
            if batch.height:
                yield batch
    if is_empty:
        raise InputError(table.where, "no rows", "at least one", "checking how it was made")
