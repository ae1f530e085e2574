"""Writes tables with their provenance: Parquet, CSV, TSV or JSON lines, whole or not at all."""

import gzip
import json
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from itertools import chain
from pathlib import Path
from typing import IO, Any, TextIO

import polars as pl
import pyarrow as pa
import pyarrow.parquet
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lexome.errors import InputError
from lexome.results.columns import find_meaning
from lexome.results.files import atomic_path, json_text

PROVENANCE_KEY = b"lexome"  # in the metadata of a Parquet file
MAX_ROWS_SHOWN = 20

Frames = pl.DataFrame | Iterable[pl.DataFrame]
Writer = Callable[[Iterator[pl.DataFrame], Path, str], None]


def write_table(
    table: Frames, path: str | Path, provenance: Mapping[str, Any], own: Collection[str] = ()
) -> None:
    """Write a frame, or frames one after another, in the format of the ending of `path`.

    `.parquet` (`.pq`), `.csv`, `.tsv` or `.jsonl`, the texts also with `.gz`. The provenance goes
    to `<path>.meta.json`, and into the metadata of a Parquet file as well. Both files appear
    when all is written; until then, and when anything fails, what stood there stays. Column names
    are those of `results/columns.py`, and `own`: the user's, in a table
    that is given back with more of them.

    Raises InputError for an ending that is none of these and for vectors in a text that has no
    lists (CSV, TSV), EnvironmentProblem when the disk is full or forbidden.
    """
    path = Path(path)
    writer = find_writer(path)
    frames = iter([table]) if isinstance(table, pl.DataFrame) else iter(table)
    first = next(frames, None)
    assert first is not None, "a table needs at least one frame, be it without rows"
    unknown = [name for name in first.columns if find_meaning(name) is None and name not in own]
    assert not unknown, f"columns that results/columns.py does not know: {unknown}"
    if writer in (_write_csv, _write_tsv):
        _refuse_lists(first, str(path))
    text = json_text(provenance)
    with atomic_path(provenance_path(path)) as notes, atomic_path(path) as temporary:
        writer(_same_columns(first, frames), temporary, text)
        notes.write_text(json_text(provenance, indent=2) + "\n", encoding="utf-8")


def read_provenance(path: str | Path) -> dict[str, Any]:
    """How a table was made: from the Parquet file itself, else from `<path>.meta.json`."""
    path = Path(path)
    if not path.exists():
        raise InputError(str(path), "no such file", "a table", "checking the path")
    if path.suffix in (".parquet", ".pq"):
        try:
            metadata = pa.parquet.read_schema(path).metadata or {}
        except pa.ArrowException as error:
            raise InputError(
                str(path), "a damaged Parquet file", "a whole one", "making it again"
            ) from error
        if PROVENANCE_KEY in metadata:
            return dict(json.loads(metadata[PROVENANCE_KEY]))
    notes = provenance_path(path)
    if not notes.exists():
        raise InputError(
            str(path),
            f"no provenance (no {notes.name} beside it)",
            "a table that Lexome wrote",
            "copying that file along with the table",
        )
    return dict(json.loads(notes.read_text(encoding="utf-8")))


def provenance_path(path: Path) -> Path:
    """Where the provenance of a table stands: `<path>.meta.json`."""
    return path.with_name(f"{path.name}.meta.json")


def print_table(
    table: pl.DataFrame,
    title: str = "",
    file: TextIO | None = None,
    most_rows: int = MAX_ROWS_SHOWN,
) -> None:
    """Show a table to people on a terminal (the first rows of a long one), as CSV in a pipe."""
    file = file or sys.stdout
    if not file.isatty():
        _refuse_lists(table, "standard output")
        file.write(table.write_csv())
        return
    shown = Table(title=Text(title) if title else None, title_justify="left")
    for name, dtype in table.schema.items():
        shown.add_column(name, justify="right" if dtype.is_numeric() else "left", overflow="fold")
    for row in table.head(most_rows).iter_rows():
        shown.add_row(*[_readable(value) for value in row])
    console = Console(file=file, highlight=False)
    console.print(shown)
    if table.height > most_rows:
        console.print(f"{table.height - most_rows:,} more rows; write all with -o FILE")


def find_writer(path: Path) -> Writer:
    """The writer for the ending of a path; InputError names the endings there are."""
    name = path.name.lower()
    ending = Path(name.removesuffix(".gz")).suffix
    is_zipped_parquet = name.endswith(".gz") and ending in (".parquet", ".pq")
    if ending in WRITERS and not is_zipped_parquet:
        return WRITERS[ending]
    near = get_close_matches(ending, WRITERS, n=1, cutoff=0.5) or [".parquet"]
    raise InputError(
        str(path),
        f"the ending {path.suffix or '(none)'}",
        f"one of {', '.join(WRITERS)} (the texts also with .gz)",
        f"{near[0]}",
    )


def _write_parquet(frames: Iterator[pl.DataFrame], path: Path, provenance: str) -> None:
    first = next(frames)
    schema = first.to_arrow().schema.with_metadata({PROVENANCE_KEY: provenance.encode()})
    with pa.parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        for frame in chain([first], frames):
            writer.write_table(frame.to_arrow().cast(schema))


def _write_csv(
    frames: Iterator[pl.DataFrame], path: Path, provenance: str, separator: str = ","
) -> None:
    with _open_text(path) as file:
        for number, frame in enumerate(frames):
            file.write(frame.write_csv(separator=separator, include_header=number == 0).encode())


def _write_tsv(frames: Iterator[pl.DataFrame], path: Path, provenance: str) -> None:
    _write_csv(frames, path, provenance, separator="\t")


def _write_json_lines(frames: Iterator[pl.DataFrame], path: Path, provenance: str) -> None:
    with _open_text(path) as file:
        for frame in frames:
            file.write(frame.write_ndjson().encode())


WRITERS: dict[str, Writer] = {
    ".parquet": _write_parquet,
    ".pq": _write_parquet,
    ".csv": _write_csv,
    ".tsv": _write_tsv,
    ".jsonl": _write_json_lines,
}


@contextmanager
def _open_text(path: Path) -> Iterator[IO[bytes]]:
    """A file to write bytes to, gzipped if its name says so, the same bytes at every run."""
    with path.open("wb") as file:
        if path.suffix.lower() != ".gz":
            yield file
            return
        with gzip.GzipFile("", "wb", compresslevel=6, fileobj=file, mtime=0) as zipped:
            yield zipped  # type: ignore[misc]


def _same_columns(first: pl.DataFrame, others: Iterator[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    for frame in chain([first], others):
        assert frame.schema == first.schema, f"a frame of {frame.schema}, after {first.schema}"
        yield frame


def _refuse_lists(table: pl.DataFrame, where: str) -> None:
    nested = [name for name, dtype in table.schema.items() if dtype.is_nested()]
    if nested:
        raise InputError(
            where,
            f"lists in the column {nested[0]!r}",
            "a format that has lists (.parquet, .jsonl)",
            "-o FILE.parquet",
        )


def _readable(value: object) -> Text:
    """A value as a person reads it; Text, because brackets in a string are no markup."""
    if isinstance(value, float):
        return Text(f"{value:.4g}")
    if type(value) is int and abs(value) >= 10_000:
        return Text(f"{value:,}")
    return Text("" if value is None else str(value))
