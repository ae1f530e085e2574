"""Scores a whole table of mutations in bounded memory; a killed run resumes."""

from pathlib import Path
from typing import Any, NamedTuple

from lexome.errors import InputError
from lexome.inference.parts import Answer, Tally, run_in_parts
from lexome.io.sources import can_be_read_twice
from lexome.progress import show_progress
from lexome.results import columns
from lexome.scoring.variant_rows import ROWS, VariantRow, open_variants
from lexome.scoring.variants import Asked, check_numbering, variant_table


class VariantsSummary(NamedTuple):
    """What a run of `score_variants_file` did."""

    rows: int
    without_score: int  # rows that carry a reason instead
    resumed_rows: int


def score_variants_file(
    asked: Asked,
    source: Any,
    output: Path,
    provenance: dict[str, object],
    mutant: str | None = None,
    reference: str | None = None,
    quiet: bool = False,
) -> VariantsSummary:
    """Write the table of `score_variants` for every row of a table, in its order.

    Raises:
        InputError: as of `score_variants`, before the work; a pipe, which cannot be surveyed.
    """
    if not can_be_read_twice(source):
        raise InputError(
            "input", "a pipe", "a file, whose numbering is checked first", "to write it to a file"
        )
    many = len(asked.references) > 1
    survey = open_variants(source, mutant, reference, many)
    check_numbering(survey, asked)
    total = sum(1 for _ in open_variants(source, mutant, reference, many).rows)
    table = open_variants(source, mutant, reference, many)

    def compute(rows: list[VariantRow]) -> Answer:
        made = variant_table(asked, rows, table.schema)
        return Answer(made, {"lacking": int(made[columns.SCORE].null_count())})

    def notes(tally: Tally) -> dict[str, object]:
        return provenance | {
            "rule": asked.scorer.rule,
            "rule_definition": asked.scorer.definition,
            "offset": asked.offset,
            "columns": table.columns._asdict(),
            "without_score": tally.counts["lacking"],
        }

    with show_progress("Scoring", total, unit="rows", quiet=quiet) as progress:
        references = sorted(asked.references.items())
        fingerprint = [
            "variants",
            asked.scorer.fingerprint,
            references,
            asked.offset,
            table.columns,
        ]
        tally = run_in_parts(table.rows, compute, output, fingerprint, notes, progress, ROWS)
    return VariantsSummary(tally.rows, tally.counts["lacking"], tally.resumed_rows)
