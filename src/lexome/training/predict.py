"""A saved run answers new sequences, streamed to a table; a killed prediction resumes."""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from lexome.batches.windows import check_length, parse_long
from lexome.errors import InputError
from lexome.inference.parts import Answer, Tally, check_output, run_in_parts
from lexome.io.sources import can_be_read_twice, is_table, read_records
from lexome.io.tables import table_columns
from lexome.progress import show_progress
from lexome.sequence.alphabet import UnknownPolicy, clean_sequence
from lexome.sequence.records import Record
from lexome.training.artefact import CONFIG, load_artefact
from lexome.training.fitted import Fitted, decide_labels, predict_mean
from lexome.training.record import answer_columns
from lexome.training.run_folder import read_run

RUN = "run.json"


class PredictSummary(NamedTuple):
    """What a prediction did."""

    rows: int
    resumed_rows: int
    calls: dict[str, int]  # predicted label -> rows; empty for numbers
    mapped: dict[str, int]


def predict(
    run: str | Path,
    source: Any,
    unknown: str | None = None,
    device: str = "auto",
    sequence: str | None = None,
    id: str | None = None,
) -> pl.DataFrame:
    """Answers of a saved run to sequences, in memory: id, length, probability or value, prediction.

    Args:
        run: the directory that `finetune` made.
        source: a sequence, a list, a frame, or a path.
        unknown: letters outside the alphabet: refuse or map; as in training where not given.
        device: auto, cpu, cuda or cuda:N.
        sequence, id: columns of a table; those of the run's own table where it has them.
    """
    fitted = load_artefact(Path(run), device)
    policy = _policy(fitted, unknown)
    records = list(_reader(fitted, Path(run), source, sequence, id)())
    if not records:
        raise InputError("source", "no sequence", "at least one", "another source")
    return _answer(fitted, records, policy).table


def predict_file(
    run: str | Path,
    source: Any,
    output: Path,
    provenance: dict[str, object],
    unknown: str | None = None,
    device: str = "auto",
    quiet: bool = False,
    sequence: str | None = None,
    id: str | None = None,
) -> PredictSummary:
    """The same for any size of input, written to a table by its ending, in bounded memory."""
    directory = Path(run)
    fitted = load_artefact(directory, device)
    policy = _policy(fitted, unknown)
    check_output(output)
    read = _reader(fitted, directory, source, sequence, id)
    total = _survey(fitted, read, policy) if can_be_read_twice(source) else None

    def notes(tally: Tally) -> dict[str, object]:
        return provenance | {"run": str(directory), "threshold": fitted.threshold}

    # run.json tells a run from one that was trained again with the same settings
    facts = [
        path.read_text("utf-8") for name in (CONFIG, RUN) if (path := directory / name).exists()
    ]
    fingerprint = [*facts, policy, output.suffix]
    with show_progress("Predicting", total, quiet=quiet) as progress:
        tally = run_in_parts(
            read(),
            lambda records: _answer(fitted, records, policy),
            output,
            fingerprint,
            notes,
            progress,
        )
    return PredictSummary(
        tally.rows,
        tally.resumed_rows,
        _with_prefix(tally.counts, "called:"),
        _with_prefix(tally.counts, "mapped:"),
    )


def _policy(fitted: Fitted, unknown: str | None) -> UnknownPolicy:
    if unknown not in (None, "refuse", "map"):
        raise InputError("unknown", repr(unknown), "refuse or map", "`--unknown map`")
    return unknown or fitted.settings.unknown  # type: ignore[return-value]


def _answer(fitted: Fitted, records: list[Record], unknown: UnknownPolicy) -> Answer:
    letters: Counter[str] = Counter()
    clean = [_clean(fitted, record, unknown, letters) for record in records]
    ids = [record.id for record in records]
    found = predict_mean(fitted, ids, clean)
    broken = ~np.isfinite(found).reshape(len(ids), -1).all(axis=1)
    if broken.any():
        raise InputError(
            ids[int(broken.argmax())],
            "a NaN in its answer",
            "finite values",
            "a run whose training did not diverge",
        )
    called = decide_labels(fitted.task, fitted.labels, found, fitted.threshold)
    table = {
        "id": ids,
        "length": [len(sequence) for sequence in clean],
        **answer_columns(fitted.task, fitted.labels, found),
    }
    counts = {f"mapped:{letter}": n for letter, n in letters.items()}
    if fitted.task != "regression":
        table["prediction"] = called
        counts |= {f"called:{label}": n for label, n in Counter(called).items()}
    return Answer(pl.DataFrame(table), counts)


def _clean(fitted: Fitted, record: Record, unknown: UnknownPolicy, letters: Counter[str]) -> str:
    alphabet = fitted.setup.tokenizer.alphabet
    sequence, counts = clean_sequence(record.sequence, alphabet, unknown, record.id)
    letters.update(counts)
    if not sequence:
        raise InputError(record.id, "0 residues", "at least one", "to drop this record")
    if parse_long(fitted.settings.recipe.long).kind == "refuse" and fitted.setup.context:
        check_length(len(sequence), fitted.setup.context, record.id)
    return sequence


def _reader(
    fitted: Fitted, directory: Path, source: Any, sequence: str | None, id: str | None
) -> Callable[[], Iterator[Record]]:
    """What reads the source from its start; a table by the run's own columns where it has them."""
    proteins = fitted.setup.tokenizer.alphabet.is_protein
    if (sequence is None or id is None) and is_table(source) and can_be_read_twice(source):
        there = table_columns(source)
        own = read_run(directory).facts.get("columns", {})
        sequence = sequence or (own["sequence"] if own.get("sequence") in there else None)
        id = id or (own["id"] if own.get("id") in there else None)
    return lambda: read_records(source, sequence, id, proteins)


def _survey(fitted: Fitted, read: Callable[[], Iterator[Record]], unknown: UnknownPolicy) -> int:
    """Residues in a source, after every record was checked: mistakes show before the work."""
    total = 0
    for record in read():
        _clean(fitted, record, unknown, Counter())
        total += len(record.sequence)
    return total


def _with_prefix(counts: dict[str, int], prefix: str) -> dict[str, int]:
    return {k.removeprefix(prefix): n for k, n in counts.items() if k.startswith(prefix)}
