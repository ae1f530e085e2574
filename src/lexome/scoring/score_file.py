"""Scores a whole file to a table in bounded memory; a killed run resumes."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from lexome.inference.parts import (
    SEQUENCES,
    Answer,
    Tally,
    count_mapped,
    find_mapped,
    run_in_parts,
)
from lexome.io.sources import can_be_read_twice, read_records
from lexome.io.unique_ids import find_place, refuse_repeats
from lexome.progress import show_progress
from lexome.scoring.likelihood import sum_up
from lexome.scoring.score import check_record, score_records, score_table
from lexome.scoring.scorers import Scorer
from lexome.sequence.letter_counts import LetterCounts
from lexome.sequence.records import Record


class ScoreSummary(NamedTuple):
    """What a run of `score_file` did."""

    rows: int
    tokens: int  # scored
    resumed_rows: int
    mapped: dict[str, int]  # letters that were replaced
    mapped_rows: int
    mean_log_likelihood: float | None  # of a token over the whole input, in nats


def score_file(
    scorer: Scorer,
    source: Any,
    output: Path,
    provenance: dict[str, object],
    quiet: bool = False,
    sequence: str | None = None,
    id: str | None = None,
) -> ScoreSummary:
    """Write the table of `score` for every record of a source, in input order.

    Raises:
        InputError: an id that stands twice; letters or lengths that the model does not take, found
            before the work where the source can be read twice.
    """
    proteins, place = scorer.model.tokenizer.alphabet.is_protein, find_place(source)

    def read() -> Iterator[Record]:
        return read_records(source, sequence, id, proteins)

    total = None
    if can_be_read_twice(source):
        total = sum(check_record(scorer, r) for r in refuse_repeats(read(), place))

    def compute(records: list[Record]) -> Answer:
        counts = LetterCounts()
        scored = list(score_records(scorer, records, counts))
        tokens = sum(len(one.log_probs[0]) for one in scored)
        # Counts are whole numbers; a millionth of a nat is what the mean is told to.
        nats = sum(sum_up(one.log_probs)[0] for one in scored)
        others = {"tokens": tokens, "micronats": round(nats * 1e6)}
        return Answer(score_table(scorer, scored), count_mapped(counts) | others)

    def notes(tally: Tally) -> dict[str, object]:
        return provenance | scorer.notes() | {"mapped": find_mapped(tally).letters}

    model = scorer.model
    with show_progress("Scoring", total, quiet=quiet) as progress:
        settings = asdict(scorer.settings) | {"rule": scorer.name}
        fingerprint = ["score", model.card.sha256, model.dtype, settings]
        tally = run_in_parts(
            read(), compute, output, fingerprint, notes, progress, SEQUENCES, place
        )
    counts, mapped = tally.counts, find_mapped(tally)
    tokens = counts["tokens"]
    mean = counts["micronats"] / 1e6 / tokens if tokens else None
    return ScoreSummary(
        tally.rows, tokens, tally.resumed_rows, dict(mapped.letters), mapped.rows, mean
    )
