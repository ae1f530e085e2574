"""A saved run answers new sequences, streamed to a table; a killed prediction resumes."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from lexome.batches.windows import check_length, parse_long
from lexome.errors import InputError
from lexome.inference.parts import Answer, Tally, check_output, run_in_parts
from lexome.io.sources import read_records
from lexome.progress import show_progress
from lexome.sequence.alphabet import UnknownPolicy, clean_sequence
from lexome.sequence.records import Record
from lexome.training.artefact import CONFIG, load_artefact
from lexome.training.fitted import Fitted, decide_labels, predict_mean
from lexome.training.record import answer_columns

RUN = "run.json"


class PredictSummary(NamedTuple):
    """What a prediction did."""

    rows: int
    resumed_rows: int
    calls: dict[str, int]  # predicted label -> rows; empty for numbers
    mapped: dict[str, int]


def predict(
    run: str | Path, source: Any, unknown: str | None = None, device: str = "auto"
) -> pl.DataFrame:
    """Answers of a saved run to sequences, in memory: id, length, probability or value, prediction.

    Args:
        run: the directory that `finetune` made.
        source: a sequence, a list, a frame, or a path.
        unknown: letters outside the alphabet: refuse or map; as in training where not given.
        device: auto, cpu, cuda or cuda:N.
    """
    fitted = load_artefact(Path(run), device)
    policy = _policy(fitted, unknown)
    records = list(read_records(source, proteins=fitted.setup.tokenizer.alphabet.is_protein))
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
) -> PredictSummary:
    """The same for any size of input, written to a table by its ending, in bounded memory."""
    directory = Path(run)
    fitted = load_artefact(directory, device)
    policy = _policy(fitted, unknown)
    check_output(output)
    total = _survey(fitted, source, policy)

    def notes(tally: Tally) -> dict[str, object]:
        return provenance | {"run": str(directory), "threshold": fitted.threshold}

    # run.json tells a run from one that was trained again with the same settings
    facts = [
        path.read_text("utf-8") for name in (CONFIG, RUN) if (path := directory / name).exists()
    ]
    fingerprint = [*facts, policy, output.suffix]
    with show_progress("Predicting", total, quiet=quiet) as progress:
        tally = run_in_parts(
            read_records(source, proteins=fitted.setup.tokenizer.alphabet.is_protein),
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


def _survey(fitted: Fitted, source: Any, unknown: UnknownPolicy) -> int | None:
    """Residues in a file, after every record was checked: mistakes show before the work."""
    if str(source) == "-" or hasattr(source, "read") or isinstance(source, Iterator):
        return None
    total = 0
    for record in read_records(source, proteins=fitted.setup.tokenizer.alphabet.is_protein):
        _clean(fitted, record, unknown, Counter())
        total += len(record.sequence)
    return total


def _with_prefix(counts: dict[str, int], prefix: str) -> dict[str, int]:
    return {k.removeprefix(prefix): n for k, n in counts.items() if k.startswith(prefix)}
