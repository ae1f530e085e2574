"""`lexome predict`: a saved run answers new sequences."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from lexome.cli import options
from lexome.errors import InputError


def predict(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Directory of a finished run.")],
    source: Annotated[
        str, typer.Argument(metavar="IN", help="FASTA, FASTQ, GenBank, CSV, TSV, Parquet; .gz; -.")
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Table by its ending; else shown on the terminal."),
    ] = None,
    label: Annotated[
        list[str] | None,
        typer.Option(help="Judge the run on this label column of IN instead of writing a table."),
    ] = None,
    unknown: Annotated[
        str | None,
        typer.Option(help="Letters outside the alphabet: refuse or map; as in training."),
    ] = None,
    sequence: options.Sequence = None,
    second: Annotated[
        str | None,
        typer.Option(help="Column of the second sequence, for a run of pairs; else the run's."),
    ] = None,
    id: options.Id = None,
    device: options.Device = "auto",
    quiet: options.Quiet = False,
    json: options.Json = False,
) -> None:
    """Write id, length, residues used, probability and prediction of each sequence, in order.

    The probability is the mean over the run's seeds; the prediction follows the saved threshold.
    """
    if label and output is not None:
        raise InputError(
            "--output", "it beside --label", "one of them", "two commands: one judges, one writes"
        )
    if json and output is None and not label:
        raise InputError("--json", "no --output", "a table to write", "`-o answers.jsonl`")
    if label:
        _judge(run, source, label, (sequence, second, id), unknown, device, quiet, json)
        return
    if output is None:
        from lexome.results.residue_rows import lists_as_text
        from lexome.results.tables import print_table
        from lexome.training.predict import predict_at_once

        table, summary = predict_at_once(run, source, unknown, device, sequence, id, second)
        _say_method(run, quiet)
        options.say_changes(summary, quiet)
        lists = [name for name, dtype in table.schema.items() if dtype.is_nested()]
        if lists and sys.stdout.isatty():
            table = table.drop(lists)
            options.say("Shown", "without probabilities: `-o FILE.parquet` has them", quiet)
        print_table(lists_as_text(table))
        return
    from lexome.training.predict import predict_file

    notes = options.provenance(input=source)
    columns = (sequence, id, second)
    done = predict_file(run, source, output, notes, unknown, device, quiet, *columns)
    _say_method(run, quiet)
    if done.resumed_rows:
        options.say("Resumed", f"{done.resumed_rows:,} rows stood from an earlier run", quiet)
    options.say_changes(done, quiet)
    called = ", ".join(f"{label!r} {n:,}" for label, n in sorted(done.calls.items()))
    options.say(
        "Saved", f"{output}: {done.rows:,} rows" + (f" ({called})" if called else ""), quiet
    )
    options.answer(done._asdict() | {"output": output}, json)


def _say_method(run: Path, quiet: bool) -> None:
    """What an adapter's run has trained."""
    from lexome.training.predict import describe_adapter

    described = describe_adapter(run)
    if described:
        options.say("Method", described, quiet)


def _judge(
    run: Path,
    source: str,
    label: list[str],
    columns: tuple[str | None, str | None, str | None],
    unknown: str | None,
    device: str,
    quiet: bool,
    json: bool,
) -> None:
    """Print the figures of the run on a table whose labels are known."""
    from lexome.training.judge_run import judge_run

    sequence, second, id = columns
    named = {"sequence": sequence, "second": second, "id": id}
    metrics = judge_run(run, source, label, unknown=unknown, device=device, **named)
    used = ", ".join(f"{role} = {name}" for role, name in metrics["columns"].items())
    options.say("Reading", f"{source}: {metrics['rows']['read']:,} rows; {used}", quiet)
    for what, number in metrics["cleaning"].items():
        options.say("Cleaning", f"{number:,} {what}", quiet)
    for what, text in options.figure_lines(metrics):
        print(f"{what:<10} {text}") if not json else options.say(what, text, quiet)
    options.answer(metrics, json)


EXAMPLES = """\b
Examples:
  lexome predict runs/mito new.fasta
  lexome predict runs/mito new.fasta -o answers.csv
  lexome predict runs/mito known.csv --label Mitochondrion
  lexome predict runs/antibodies new_pairs.csv -o answers.csv
"""
