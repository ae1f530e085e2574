"""New sequences to a file: FASTA or a table; a run that was stopped goes on to the same file."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import polars as pl

from lexome.errors import InputError
from lexome.generation.generate import rank_places
from lexome.generation.journal import Journal
from lexome.generation.low_complexity import DNA_DEFINITION, PROTEIN_DEFINITION
from lexome.generation.plan import Plan, make_samples
from lexome.progress import show_progress
from lexome.results import columns
from lexome.results.files import atomic_path, json_text
from lexome.results.tables import find_writer, provenance_path, write_table
from lexome.results.types import GeneratedSequence

FASTA_ENDINGS = (".fasta", ".fa", ".faa", ".fna")
LINE = 60  # residues a line of FASTA
ROWS = 1000  # of a table at a time
LAYOUT = 1  # of a journal's lines
DEFINITIONS = {
    "log_likelihood": "natural logarithm of the probability of the tokens after the prompt, one "
    "that ended the sequence among them, by the whole model at temperature 1 and without filters",
    "mean_log_likelihood": "log_likelihood / number of these tokens",
}


class GenerateSummary(NamedTuple):
    """What a run of `generate_file` did."""

    sequences: int  # in the output
    made: int  # all, where only the best were kept
    resumed: int
    tokens: int
    stop_reasons: dict[str, int]
    low_complexity: int  # sequences that are flagged


def generate_file(
    plan: Plan,
    output: Path,
    provenance: dict[str, object],
    quiet: bool = False,
    max_rows: int | None = None,
) -> GenerateSummary:
    """Write all samples of a plan, in order, to FASTA or a table (by the ending).

    Every sample is on disk, in a journal beside the output, as soon as it ends; the output appears
    when all are. Stopped at any moment, the same call goes on to the same output, and more samples
    (`n`) of the same settings begin where fewer had stopped.

    Raises:
        InputError: an ending that is neither.
        EnvironmentProblem: a full disk; what is finished is kept.
    """
    check_generated_output(output)
    journal = Journal(_journal_path(plan, output), output)
    try:
        resumed = sum(place in journal for place in plan.places)
        with show_progress("Generating", plan_size(plan), "sequences", quiet) as progress:
            progress.advance(resumed)
            progress.restart_clock()
            for place, sample in make_samples(plan, journal.__contains__, max_rows):
                journal.add(place, sample)
                progress.advance(1)
        done = _write(plan, journal, output, provenance, resumed)
        journal.remove()
    finally:
        journal.close()
    for left in output.parent.glob(f".{_escaped(output.name)}.*.journal"):
        with suppress(OSError):
            left.unlink()
    return done


def plan_size(plan: Plan) -> int:
    """How many samples a plan asks for."""
    return len(plan.prompts) * plan.amount.n


def check_generated_output(output: Path) -> None:
    """Refuse before the work an output that could not be written after it."""
    if output.is_dir():
        raise InputError(str(output), "a folder", "the name of a file to write", f"{output}/NAME")
    if output.suffix.lower() not in FASTA_ENDINGS:
        try:
            find_writer(output)
        except InputError as problem:
            expected = problem.expected.replace("one of ", f"one of {', '.join(FASTA_ENDINGS)}, ")
            raise InputError(problem.where, problem.seen, expected, "-o new.fasta") from problem


def fasta_text(sample: GeneratedSequence) -> str:
    """A sample as FASTA, what is known of it in its header."""
    ids = ",".join(map(str, sample.prompt_ids))
    facts = {
        "log_likelihood": f"{sample.log_likelihood:.6f}",
        "mean_log_likelihood": f"{sample.mean_log_likelihood:.6f}",
        "tokens_new": len(sample.ids),
        "stop_reason": sample.stop_reason,
        "low_complexity": f"{sample.low_complexity:.2f}{'!' if sample.is_low_complexity else ''}",
        "seed": sample.seed,
        "tag": sample.tag or "none",
        "prompt_ids": ids,
    }
    header = " ".join([sample.id, *(f"{name}={value}" for name, value in facts.items())])
    starts = range(0, len(sample.sequence), LINE)
    lines = [sample.sequence[i : i + LINE] for i in starts]
    return "\n".join([f">{header}", *lines]) + "\n"


def sample_table(samples: Sequence[GeneratedSequence]) -> pl.DataFrame:
    """Samples as rows of a table."""
    rows = [
        {
            columns.ID: sample.id,
            columns.SEQUENCE: sample.sequence,
            columns.LENGTH: len(sample.sequence),
            columns.LOG_LIKELIHOOD: sample.log_likelihood,
            columns.MEAN_LOG_LIKELIHOOD: sample.mean_log_likelihood,
            columns.TOKENS_NEW: len(sample.ids),
            columns.STOP_REASON: sample.stop_reason,
            columns.LOW_COMPLEXITY: sample.low_complexity,
            columns.IS_LOW_COMPLEXITY: sample.is_low_complexity,
            columns.SEED: sample.seed,
            columns.PROMPT: sample.prompt,
            columns.TAG: sample.tag,
            columns.PROMPT_IDS: " ".join(map(str, sample.prompt_ids)),
            columns.TOKEN_IDS: " ".join(map(str, sample.ids)),
        }
        for sample in samples
    ]
    return pl.DataFrame(rows, infer_schema_length=None)


def _write(
    plan: Plan, journal: Journal, output: Path, provenance: dict[str, object], resumed: int
) -> GenerateSummary:
    wanted = set(plan.places)
    means = {place: mean for place, mean in journal.means.items() if place in wanted}
    places = rank_places(plan, means)
    tokens, flagged, reasons = 0, 0, dict[str, int]()
    notes = provenance | {
        "sampling": asdict(plan.sampling),
        "amount": asdict(plan.amount),
        "definitions": DEFINITIONS
        | {"low_complexity": DNA_DEFINITION if plan.dialect.is_dna else PROTEIN_DEFINITION},
        "prompts": [
            {"name": p.name, "tag": p.tag, "sequence": p.sequence, "ids": p.ids}
            for p in plan.prompts[:100]  # all of them stand in the rows
        ],
    }

    def samples() -> Iterator[GeneratedSequence]:
        nonlocal tokens, flagged
        for place in places:
            sample = journal.read(place)
            tokens += len(sample.ids)
            flagged += sample.is_low_complexity
            reasons[sample.stop_reason] = reasons.get(sample.stop_reason, 0) + 1
            yield sample

    if output.suffix.lower() in FASTA_ENDINGS:
        with atomic_path(provenance_path(output)) as beside, atomic_path(output) as temporary:
            with temporary.open("w", encoding="utf-8", newline="\n") as file:
                file.writelines(map(fasta_text, samples()))
            beside.write_text(json_text(notes, indent=2) + "\n", encoding="utf-8")
    else:
        write_table(_tables(samples()), output, notes)
    return GenerateSummary(len(places), len(means), resumed, tokens, reasons, flagged)


def _tables(samples: Iterator[GeneratedSequence]) -> Iterator[pl.DataFrame]:
    while part := list(islice(samples, ROWS)):
        yield sample_table(part)


def _journal_path(plan: Plan, output: Path) -> Path:
    """The name says what the samples depend on; how many are asked for is no part of that."""
    amount = {k: v for k, v in asdict(plan.amount).items() if k not in ("n", "best")}
    if plan.amount.beams:  # the answers of a search come together
        amount["n"] = plan.amount.n
    facts = [
        *(LAYOUT, plan.model.card.sha256, plan.model.dtype, plan.model.device.split(":")[0]),
        *(asdict(plan.sampling), amount, plan.dialect.stops, plan.prompts),
    ]
    digest = hashlib.blake2b(json.dumps(facts, default=str).encode(), digest_size=6).hexdigest()
    return output.parent / f".{output.name}.{digest}.journal"


def _escaped(name: str) -> str:
    """A file name of which no letter has a meaning of its own in a pattern."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)
