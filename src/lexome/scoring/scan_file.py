"""Scans a whole file to a table in bounded memory; a killed run resumes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from lexome.inference.parts import SEQUENCES, Answer, Tally, run_in_parts
from lexome.io.sources import can_be_read_twice, read_records
from lexome.io.unique_ids import find_place, refuse_repeats
from lexome.progress import show_progress
from lexome.results import columns
from lexome.scoring.mutants.scorer import MutantScorer
from lexome.scoring.scan import parse_positions, scan_record
from lexome.sequence.mutations import AMINO_ACIDS
from lexome.sequence.records import Record


class ScanSummary(NamedTuple):
    """What a run of `scan_file` did."""

    sequences: int
    rows: int
    without_score: int  # rows that carry a reason instead
    resumed_sequences: int


def scan_file(
    scorer: MutantScorer,
    source: Any,
    output: Path,
    provenance: dict[str, object],
    positions: str | None = None,
    quiet: bool = False,
    sequence: str | None = None,
    id: str | None = None,
    letters: str = AMINO_ACIDS,
) -> ScanSummary:
    """Write the table of `scan` for every record of a source, in input order.

    `letters` are put at each position (`lexome.scoring.scan.letters_of` a model).

    Raises:
        InputError: as of `scan`; positions outside a sequence before the work, where the source
            can be read twice.
    """
    place = find_place(source)

    def read() -> Iterator[Record]:
        return read_records(source, sequence, id, proteins=letters == AMINO_ACIDS)

    total = None
    if can_be_read_twice(source):
        total = 0
        for record in refuse_repeats(read(), place):
            parse_positions(positions, len(record.sequence), record.id)
            total += len(record.sequence)

    def compute(records: list[Record]) -> Answer:
        table = pl.concat([scan_record(scorer, record, positions, letters) for record in records])
        lacking = int(table[columns.SCORE].null_count())
        return Answer(table, {"rows": table.height, "lacking": lacking})

    def notes(tally: Tally) -> dict[str, object]:
        return provenance | {"rule": scorer.rule, "rule_definition": scorer.definition}

    with show_progress("Scanning", total, quiet=quiet) as progress:
        fingerprint = ["scan", scorer.fingerprint, positions, letters]
        tally = run_in_parts(
            read(), compute, output, fingerprint, notes, progress, SEQUENCES, place
        )
    counts = tally.counts
    return ScanSummary(tally.rows, counts["rows"], counts["lacking"], tally.resumed_rows)
