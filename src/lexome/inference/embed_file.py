"""Embeds a whole file to Parquet in parts that survive a kill: the same command resumes.

Each part holds the results of a fixed run of records and is written under a temporary name, then
renamed; a part is done when it is there. A killed run is taken up at the first part missing. The
folder of parts carries a fingerprint of model and recipe in its name, and each part the hash of the
records that it answers, so that parts are never mixed up with another model's or another input's.
"""

import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from lexome.errors import InputError
from lexome.inference.embed import EmbeddedRow, LetterCounts, Recipe, embed_records
from lexome.inference.model import Model
from lexome.io.sources import read_records
from lexome.progress import show_progress
from lexome.results.tables import read_provenance, write_table
from lexome.sequence.records import Record

# A part is some seconds of work for a small model, so a kill costs little.
PART_RESIDUES, PART_RECORDS = 250_000, 2_000
VECTOR_TYPES = {"float16": pl.Float16, "float32": pl.Float32}


class EmbedSummary(NamedTuple):
    """What a run of `embed_file` did."""

    rows: int
    residues: int
    resumed_rows: int
    mapped: str  # letters that were replaced, in words
    windowed: int  # rows that went through in several windows


class Part(NamedTuple):
    """A run of consecutive records and the hash of what they hold."""

    records: list[Record]
    digest: str


def embed_file(
    model: Model,
    source: Any,
    output: Path,
    recipe: Recipe,
    provenance: dict[str, object],
    vector_type: str = "float32",
    max_tokens: int | None = None,
    quiet: bool = False,
) -> EmbedSummary:
    """Write one row a record to `output` (.parquet): id, length, window and vector.

    Vectors are fixed-size lists; with pooling "none" one list of such lists a record. Any size of
    input runs in bounded memory. Killed at any moment, the same call goes on where it stopped.
    """
    if vector_type not in VECTOR_TYPES:
        raise InputError("vectors", repr(vector_type), "float16 or float32", "`--vectors float32`")
    if output.suffix not in (".parquet", ".pq"):
        raise InputError(str(output), f"the ending {output.suffix!r}", ".parquet", "`-o x.parquet`")
    folder = _parts_folder(output, model, recipe, vector_type)
    total = survey(model, source, recipe) if isinstance(source, str | Path) else None
    counts, resumed, paths = LetterCounts(), 0, []
    with show_progress("Embedding", total, quiet=quiet) as progress:
        for number, part in enumerate(cut_parts(read_records(source))):
            path = folder / f"part-{number:06d}.parquet"
            paths.append(path)
            done = _notes_of(path)
            residues = sum(len(record.sequence) for record in part.records)
            if done is not None and done["records"] == part.digest:
                resumed += len(part.records)
                counts.letters.update(done["mapped"])  # type: ignore[arg-type]
                counts.rows += int(done["mapped_rows"])  # type: ignore[call-overload]
                progress.advance(residues)
                progress.restart_clock()
                continue
            mine = LetterCounts()
            rows = embed_records(model, part.records, recipe, mine, max_tokens)
            table = _table(_counted(rows, progress.advance), model.network.width, vector_type, recipe)
            notes = {"records": part.digest, "mapped": dict(mine.letters), "mapped_rows": mine.rows}
            write_table(table, path, notes)
            counts.letters.update(mine.letters)
            counts.rows += mine.rows
    notes = provenance | {"recipe": asdict(recipe), "mapped": dict(counts.letters)}
    tally = {"rows": 0, "residues": 0, "windowed": 0}
    write_table(_tallied(paths, tally), output, notes)
    shutil.rmtree(folder)
    return EmbedSummary(
        tally["rows"], tally["residues"], resumed, str(counts), tally["windowed"]
    )


def survey(model: Model, source: str | Path, recipe: Recipe) -> int:
    """Residues in a file, after every record was checked: mistakes show before hours of work."""
    from lexome.batches.windows import parse_long
    from lexome.inference.embed import prepare

    policy = parse_long(recipe.long)
    total = 0
    if str(source) == "-":
        return 0
    for record in read_records(source):
        prepare(model, record, recipe, policy)
        total += len(record.sequence)
    return total


def cut_parts(records: Iterable[Record]) -> Iterator[Part]:
    """Runs of consecutive records, bounded in residues and in records; the same on every reading."""
    batch: list[Record] = []
    residues, digest = 0, hashlib.blake2b(digest_size=16)
    for record in records:
        batch.append(record)
        residues += len(record.sequence)
        digest.update(f"{record.id}\0{record.sequence}\0".encode())
        if residues >= PART_RESIDUES or len(batch) >= PART_RECORDS:
            yield Part(batch, digest.hexdigest())
            batch, residues, digest = [], 0, hashlib.blake2b(digest_size=16)
    if batch:
        yield Part(batch, digest.hexdigest())


def _parts_folder(output: Path, model: Model, recipe: Recipe, vector_type: str) -> Path:
    what = [model.card.sha256, model.dtype, asdict(recipe), vector_type]
    fingerprint = hashlib.blake2b(json.dumps(what).encode(), digest_size=6).hexdigest()
    return output.parent / f".{output.name}.{fingerprint}.parts"


def _notes_of(path: Path) -> dict[str, object] | None:
    return read_provenance(path) if path.exists() else None


def _counted(rows: Iterator[EmbeddedRow], advance: Any) -> Iterator[EmbeddedRow]:
    for row in rows:
        advance(row.length)
        yield row


def _table(
    rows: Iterator[EmbeddedRow], width: int, vector_type: str, recipe: Recipe
) -> pl.DataFrame:
    done = list(rows)
    element = pl.Array(VECTOR_TYPES[vector_type], width)
    numpy_type = np.dtype(vector_type)
    if recipe.pooling == "none":
        vectors = pl.Series(
            [pl.Series(row.values.astype(numpy_type), dtype=element) for row in done],
            dtype=pl.List(element),
        )
    else:
        stacked = np.stack([row.values for row in done]).astype(numpy_type)
        vectors = pl.Series(stacked, dtype=element)
    return pl.DataFrame(
        {
            "id": [row.id for row in done],
            "length": [row.length for row in done],
            "window": [row.windows for row in done],
            "vector": vectors,
        }
    )


def _tallied(paths: list[Path], tally: dict[str, int]) -> Iterator[pl.DataFrame]:
    for path in paths:
        table = pl.read_parquet(path)
        tally["rows"] += table.height
        tally["residues"] += int(table["length"].sum())
        tally["windowed"] += int((table["window"] > 1).sum())
        yield table
