"""A saved run answers new sequences, streamed to a table; a killed prediction resumes."""

import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from lexome.batches.windows import parse_long, plan_windows
from lexome.errors import InputError
from lexome.inference.parts import (
    SEQUENCES,
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
from lexome.reports.run_files import name_positive
from lexome.results.residue_rows import lists_as_text
from lexome.sequence.alphabet import UnknownPolicy
from lexome.sequence.letter_counts import LetterCounts
from lexome.sequence.pairs import Content, PairRecord, are_single
from lexome.sequence.records import Record
from lexome.training.adapters import ADAPTERS
from lexome.training.artefact import CONFIG, load_artefact
from lexome.training.fitted import Fitted, predict_mean
from lexome.training.predict_pairs import (
    PAIRS,
    Asked,
    clean_pair,
    clean_text,
    count_cropped,
    pair_reader,
    trace_pairs,
)
from lexome.training.raw_table import columns_of_run
from lexome.training.record import answers_of, round_figures
from lexome.training.run_folder import read_run
from lexome.training.task_answers import task_answers

RUN = "run.json"
LIST_FORMATS = (".parquet", ".pq", ".jsonl")
CALLED = "called:"  # how counts of predicted labels are told from the other counts


class PredictSummary(NamedTuple):
    """What a prediction did."""

    rows: int
    resumed_rows: int
    calls: dict[str, int]  # predicted label -> rows; empty for numbers
    mapped: dict[str, int]  # letters that were replaced
    mapped_rows: int
    cropped: int  # rows of which the model saw both ends only
    windowed: int  # rows that went through in several windows


def predict(
    run: str | Path,
    source: Any,
    unknown: str | None = None,
    device: str = "auto",
    sequence: str | None = None,
    id: str | None = None,
    second: str | None = None,
) -> pl.DataFrame:
    """Answers of a saved run to sequences, in memory.

    Columns: id, length (of the whole sequence), residues_used (fewer where the run crops), windows
    (only where it cuts long sequences into such), what the model says (for two classes
    probability_<the one to find> and threshold; one probability a label; or value), prediction.
    Numbers are rounded to 6 digits, after the prediction was made from them. Where a run answers
    residues, probabilities are lists and the prediction is a text of one letter each. Letters that
    `unknown="map"` replaces are one counted warning.

    Args:
        run: the directory that `finetune` made.
        source: a sequence, a list, a frame, or a path.
        unknown: letters outside the alphabet: refuse or map; as in training where not given.
        device: auto, cpu, cuda or cuda:N.
        sequence, id, second: columns of a table; those of the run's own table where it has them.

    Raises:
        InputError: an id that stands twice, letters or lengths that the run does not take.
    """
    table, done = predict_at_once(run, source, unknown, device, sequence, id, second)
    if done.mapped:
        letters = LetterCounts(Counter(done.mapped), done.mapped_rows)
        warnings.warn(f"{find_place(source).where}: {letters}", stacklevel=2)
    return table


def predict_at_once(
    run: str | Path,
    source: Any,
    unknown: str | None = None,
    device: str = "auto",
    sequence: str | None = None,
    id: str | None = None,
    second: str | None = None,
) -> tuple[pl.DataFrame, PredictSummary]:
    """The table of `predict`, and what was mapped, cropped and windowed for it."""
    fitted = load_artefact(Path(run), device)
    policy = _policy(fitted, unknown)
    read = _reader(fitted, Path(run), source, sequence, id, second)
    records = list(refuse_repeats(read(), find_place(source)))
    if not records:
        raise InputError("source", "no sequence", "at least one", "another source")
    answer = _answer(fitted, records, policy, _positive_name(fitted, Path(run)))
    return answer.table, _summary(Tally(len(records), 0, answer.counts))


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
    second: str | None = None,
) -> PredictSummary:
    """The same for any size of input, written to a table by its ending, in bounded memory."""
    directory = Path(run)
    fitted = load_artefact(directory, device)
    policy, positive = _policy(fitted, unknown), _positive_name(fitted, directory)
    check_output(output)
    read = _reader(fitted, directory, source, sequence, id, second)
    place, total = find_place(source), None
    if can_be_read_twice(source):
        total = _survey(fitted, refuse_repeats(read(), place), policy)

    def notes(tally: Tally) -> dict[str, object]:
        facts = {"method": fitted.settings.method, "threshold": fitted.threshold}
        return provenance | {"run": str(directory)} | facts

    # run.json tells a run from one that was trained again with the same settings
    facts = [
        path.read_text("utf-8") for name in (CONFIG, RUN) if (path := directory / name).exists()
    ]
    fingerprint = [*facts, policy, output.suffix]
    with show_progress("Predicting", total, quiet=quiet) as progress:
        tally = run_in_parts(
            read(),
            lambda records: fit_format(_answer(fitted, records, policy, positive), output),
            output,
            fingerprint,
            notes,
            progress,
            PAIRS if fitted.settings.pairs else SEQUENCES,
            place,
        )
    return _summary(tally)


def fit_format(answer: Answer, output: Path) -> Answer:
    """Lists as text, where the format of the output has none."""
    has_lists = output.name.removesuffix(".gz").endswith(LIST_FORMATS)
    return answer if has_lists else answer._replace(table=lists_as_text(answer.table))


def describe_adapter(run: str | Path) -> str:
    """The method of a run with an adapter and how much it trained; empty for other runs."""
    directory = Path(run)
    facts = read_run(directory).facts if (directory / RUN).exists() else {}
    if facts.get("method") not in ADAPTERS:
        return ""
    model = facts["model"]
    return f"{facts['method']}, {model['trained']:,} parameters ({model['trained_share']:.2%})"


def _summary(tally: Tally) -> PredictSummary:
    mapped, counts = find_mapped(tally), tally.counts
    return PredictSummary(
        rows=tally.rows,
        resumed_rows=tally.resumed_rows,
        calls={k.removeprefix(CALLED): n for k, n in counts.items() if k.startswith(CALLED)},
        mapped=dict(mapped.letters),
        mapped_rows=mapped.rows,
        cropped=counts["cropped"],
        windowed=counts["windowed"],
    )


def _policy(fitted: Fitted, unknown: str | None) -> UnknownPolicy:
    if unknown not in (None, "refuse", "map"):
        raise InputError("unknown", repr(unknown), "refuse or map", "`--unknown map`")
    return unknown or fitted.settings.unknown  # type: ignore[return-value]


def _positive_name(fitted: Fitted, directory: Path) -> str:
    """What a binary run finds: its positive label, or the label's column where that is a mere 1."""
    if fitted.task != "binary":
        return ""
    label = fitted.labels[1]
    has_facts = (directory / RUN).exists()
    column = read_run(directory).facts.get("label_column") if has_facts else None
    return name_positive(label, column or label)


def _answer(fitted: Fitted, records: list[Any], unknown: UnknownPolicy, positive: str) -> Answer:
    letters = LetterCounts()
    clean: list[Content] = [_clean(fitted, record, unknown, letters) for record in records]
    ids = [record.id for record in records]
    found = predict_mean(fitted, ids, clean)
    broken = ~np.isfinite(found).reshape(len(found), -1).all(axis=1)
    lengths = np.array(list(map(len, clean))) if fitted.answers_residues else None
    if broken.any():
        of_row = np.arange(len(ids)) if lengths is None else np.repeat(np.arange(len(ids)), lengths)
        raise InputError(
            ids[int(of_row[broken.argmax()])],
            "a NaN in its answer",
            "finite values",
            "a run whose training did not diverge",
        )
    trace = _trace(fitted, ids, clean)
    if fitted.objective.parts:
        columns, called = task_answers(fitted, found), []
    else:
        limit, exact = fitted.threshold, fitted.objective.is_far
        columns = answers_of(fitted.task, fitted.labels, found, limit, lengths, exact)
        called = columns.pop("prediction")
    if fitted.task == "binary":  # here nothing else says what is probable, and from when it counts
        threshold = round_figures(np.full(len(ids), fitted.threshold))
        columns = {f"probability_{positive}": columns["probability"], "threshold": threshold}
    table = {"id": ids, **trace, **columns}
    counts = count_mapped(letters) | {
        "cropped": count_cropped(trace),
        "windowed": sum(n > 1 for n in trace.get("windows", [])),
    }
    if called and fitted.task != "regression":
        table["prediction"] = called
        each = list("".join(called)) if lengths is not None else called
        counts |= {f"{CALLED}{name}": n for name, n in _named(fitted, each, positive).items()}
    return Answer(pl.DataFrame(table), counts)


def _named(fitted: Fitted, called: list[str], positive: str) -> dict[str, int]:
    """How often each label was called; 0 and 1 by what they stand for."""
    counts = Counter(called)
    if fitted.task == "binary" and positive != fitted.labels[1]:
        no, yes = fitted.labels
        both = {f"not {positive}": counts[no], positive: counts[yes]}
        return {name: n for name, n in both.items() if n}
    return dict(counts)


def _trace(fitted: Fitted, ids: list[str], contents: list[Content]) -> dict[str, list[int]]:
    """How much of each sequence the model sees, and in how many windows where it cuts such."""
    if fitted.settings.pairs:
        return trace_pairs(fitted, ids, contents)
    assert are_single(contents)
    policy, lengths = parse_long(fitted.settings.recipe.long), list(map(len, contents))
    used = lengths
    if policy.kind == "crop":
        used = [min(length, policy.head + policy.tail) for length in lengths]
    columns = {"length": lengths, "residues_used": used}
    if policy.kind == "window" and fitted.setup.context:
        size = fitted.setup.context
        tokens = map(fitted.setup.num_tokens, contents, ids)
        columns["windows"] = [len(plan_windows(number, size)) for number in tokens]
    return columns


def _clean(
    fitted: Fitted, record: Record | PairRecord, unknown: UnknownPolicy, letters: LetterCounts
) -> Content:
    if isinstance(record, PairRecord):
        return clean_pair(fitted, record, unknown, letters)
    sequence = clean_text(fitted, record.sequence, record.id, unknown, letters)
    if parse_long(fitted.settings.recipe.long).kind == "refuse":
        fitted.setup.check_length(sequence, record.id)
    return sequence


def _reader(
    fitted: Fitted,
    directory: Path,
    source: Any,
    sequence: str | None,
    id: str | None,
    second: str | None,
) -> Callable[[], Iterator[Any]]:
    """What reads the source from its start; a table by the run's own columns where it has them."""
    own = read_run(directory).facts.get("columns", {}) if (directory / RUN).exists() else {}
    if fitted.settings.pairs:
        return pair_reader(source, Asked(sequence, second, id), own)
    if second is not None:
        raise InputError("second", repr(second), "a run of pairs", "the command without it")
    proteins = fitted.setup.tokenizer.alphabet.is_protein
    sequence, id = columns_of_run(own, source, sequence, id)
    return lambda: read_records(source, sequence, id, proteins)


def _survey(fitted: Fitted, records: Iterable[Any], unknown: UnknownPolicy) -> int:
    """Residues in a source, after every record was checked: mistakes show before the work."""
    total = 0
    for record in records:
        _clean(fitted, record, unknown, LetterCounts())
        total += len(record.sequence) + len(getattr(record, "second", ""))
    return total
