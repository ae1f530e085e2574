"""Embeds a whole file to Parquet in bounded memory; a killed run resumes."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from lexome.batches.windows import parse_long
from lexome.inference.embed import (
    EmbeddedRow,
    Recipe,
    check_layer,
    embed_records,
    prepare,
)
from lexome.inference.model import Model
from lexome.inference.parts import (
    SEQUENCES,
    Answer,
    Tally,
    count_mapped,
    find_mapped,
    run_in_parts,
)
from lexome.inference.vector_column import check_vector_output, vector_column
from lexome.io.sources import can_be_read_twice, read_records
from lexome.io.unique_ids import find_place, refuse_repeats
from lexome.progress import show_progress
from lexome.results import columns
from lexome.sequence.letter_counts import LetterCounts
from lexome.sequence.records import Record


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
    check_vector_output(output, vector_type)
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
            SEQUENCES,
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
    rows: Sequence[EmbeddedRow], width: int, vector_type: str, recipe: Recipe
) -> pl.DataFrame:
    spans = {}
    if any(row.spans for row in rows):
        whole = pl.List(pl.Int32)
        starts = [[start for start, _ in row.spans] for row in rows]
        ends = [[end for _, end in row.spans] for row in rows]
        spans = {
            columns.TOKEN_STARTS: pl.Series(starts, dtype=whole),
            columns.TOKEN_ENDS: pl.Series(ends, dtype=whole),
        }
    return pl.DataFrame(
        {
            "id": [row.id for row in rows],
            "length": [row.length for row in rows],
            "residues_used": [row.residues_used for row in rows],
            "windows": [row.windows for row in rows],
            **spans,
            "vector": vector_column(rows, width, vector_type, recipe.pooling == "none"),
        }
    )
