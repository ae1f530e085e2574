"""Embeds a whole file to Parquet in bounded memory; a killed run resumes."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from lexome.batches.windows import parse_long
from lexome.errors import InputError
from lexome.inference.embed import (
    EmbeddedRow,
    Recipe,
    check_layer,
    embed_records,
    prepare,
)
from lexome.inference.model import Model
from lexome.inference.parts import (
    Answer,
    Tally,
    check_output,
    count_mapped,
    find_mapped,
    run_in_parts,
)
from lexome.io.sources import can_be_read_twice, read_records
from lexome.io.unique_ids import find_place, refuse_repeats
from lexome.progress import show_progress
from lexome.results import columns
from lexome.sequence.letter_counts import LetterCounts
from lexome.sequence.records import Record

VECTOR_TYPES = {"float16": pl.Float16, "float32": pl.Float32}
FLOAT16_LIMIT = float(np.finfo(np.float16).max)


class EmbedSummary(NamedTuple):
    """What a run of `embed_file` did."""

    rows: int
    residues: int
    resumed_rows: int
    mapped: dict[str, int]  # letters that were replaced
    mapped_rows: int
    cropped: int  # rows of which the model saw both ends only
    windowed: int  # rows that went through in several windows


def embed_file(
    model: Model,
    source: Any,
    output: Path,
    recipe: Recipe,
    provenance: dict[str, object],
    vector_type: str = "float32",
    max_tokens: int | None = None,
    quiet: bool = False,
    sequence: str | None = None,
    id: str | None = None,
) -> EmbedSummary:
    """Write one row a record to `output` (.parquet).

    Columns: id, length (of the whole sequence), residues_used (fewer where it was cropped), windows
    (in how many it went through) and vector. Vectors are fixed-size lists; with pooling "none" one
    list of such lists a record, and where a token is not a letter, token_starts and token_ends say
    which letters [start, end) each one stands for, from 0.

    Raises:
        InputError: an id that stands twice, and what the recipe's policies refuse.
    """
    if vector_type not in VECTOR_TYPES:
        raise InputError("vectors", repr(vector_type), "float16 or float32", "`--vectors float32`")
    if output.suffix not in (".parquet", ".pq"):
        raise InputError(str(output), f"the ending {output.suffix!r}", ".parquet", "`-o x.parquet`")
    check_output(output)
    check_layer(model, recipe.layer)
    proteins, place = model.tokenizer.alphabet.is_protein, find_place(source)

    def read() -> Iterator[Record]:
        return read_records(source, sequence, id, proteins)

    total = None
    if can_be_read_twice(source):
        total = survey(model, refuse_repeats(read(), place), recipe)

    def compute(records: list[Record]) -> Answer:
        counts = LetterCounts()
        rows = list(embed_records(model, records, recipe, counts, max_tokens))
        others = {
            "windowed": sum(row.windows > 1 for row in rows),
            "cropped": sum(row.residues_used < row.length for row in rows),
            "residues": sum(row.residues_used for row in rows),
        }
        table = _table(rows, model.network.width, vector_type, recipe)
        return Answer(table, count_mapped(counts) | others)

    def notes(tally: Tally) -> dict[str, object]:
        return provenance | {"recipe": asdict(recipe), "mapped": find_mapped(tally).letters}

    with show_progress("Embedding", total, quiet=quiet) as progress:
        fingerprint = [model.card.sha256, model.dtype, asdict(recipe), vector_type]
        tally = run_in_parts(
            read(),
            compute,
            output,
            fingerprint,
            notes,
            progress,
            place,
        )
    counts, mapped = tally.counts, find_mapped(tally)
    return EmbedSummary(
        rows=tally.rows,
        residues=counts["residues"],
        resumed_rows=tally.resumed_rows,
        mapped=dict(mapped.letters),
        mapped_rows=mapped.rows,
        cropped=counts["cropped"],
        windowed=counts["windowed"],
    )


def survey(model: Model, records: Iterable[Record], recipe: Recipe) -> int:
    """Residues of all records, after checking each.

    So a mistake in the last record shows before hours of work, not after.
    """
    policy, total = parse_long(recipe.long), 0
    for record in records:
        prepare(model, record, recipe, policy)
        total += len(record.sequence)
    return total


def _table(
    rows: Iterable[EmbeddedRow], width: int, vector_type: str, recipe: Recipe
) -> pl.DataFrame:
    done = list(rows)
    if vector_type == "float16":
        for row in done:
            if np.abs(row.values).max() > FLOAT16_LIMIT:
                raise InputError(
                    row.id,
                    f"a value of {np.abs(row.values).max():.3g}",
                    f"at most {FLOAT16_LIMIT:,.0f}, the largest float16",
                    "`--vectors float32`",
                )
    element, numpy_type = pl.Array(VECTOR_TYPES[vector_type], width), np.dtype(vector_type)
    if recipe.pooling == "none":
        matrices = [pl.Series(row.values.astype(numpy_type), dtype=element) for row in done]
        vectors = pl.Series(matrices, dtype=pl.List(element))
    else:
        vectors = pl.Series(
            np.stack([row.values for row in done]).astype(numpy_type), dtype=element
        )
    spans = {}
    if any(row.spans for row in done):
        whole = pl.List(pl.Int32)
        starts = [[start for start, _ in row.spans] for row in done]
        ends = [[end for _, end in row.spans] for row in done]
        spans = {
            columns.TOKEN_STARTS: pl.Series(starts, dtype=whole),
            columns.TOKEN_ENDS: pl.Series(ends, dtype=whole),
        }
    return pl.DataFrame(
        {
            "id": [row.id for row in done],
            "length": [row.length for row in done],
            "residues_used": [row.residues_used for row in done],
            "windows": [row.windows for row in done],
            **spans,
            "vector": vectors,
        }
    )
