"""`lexome audit`: finds what the parts of a data set share."""

from pathlib import Path
from typing import Annotated

import typer

from lexome.cli import options
from lexome.cli.split import Alphabet, SplitIdentity


def audit(
    table: Annotated[
        str | None,
        typer.Argument(
            metavar="[TABLE or RUN]", help="A table, with --split; or a run of finetune."
        ),
    ] = None,
    train: Annotated[str | None, typer.Option(help="File of the training rows.")] = None,
    validation: Annotated[str | None, typer.Option(help="File of the validation rows.")] = None,
    test: Annotated[str | None, typer.Option(help="File of the test rows.")] = None,
    split: Annotated[
        str | None, typer.Option(help="column:NAME says the part of each row of TABLE.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Table of the pairs of copies.")
    ] = None,
    label: Annotated[str | None, typer.Option(help="Label column; else guessed.")] = None,
    similarity: Annotated[float, typer.Option(help="From which on copies are near: 0.7 to 1.")] = (
        0.9
    ),
    identity: SplitIdentity = None,
    clusters: Annotated[
        str, typer.Option(help="kmers, mmseqs2 (slow), auto or none: how kin is found.")
    ] = "kmers",
    alphabet: Alphabet = "auto",
    sequence: options.Sequence = None,
    id: options.Id = None,
    quiet: options.Quiet = False,
    json: options.Json = False,
) -> None:
    """Exact and near copies, reverse complements, shared clusters and label conflicts.

    Ends with exit code 4 where a sequence stands, exactly or nearly, in two parts. Kin remoter
    than that is told, and is no leak by itself. Of a run it prints the test figures with the
    leaking test rows and without them.
    """
    from lexome.evaluation import audit as auditing
    from lexome.results.tables import find_writer, write_table

    if table is not None and split is None and Path(table).is_dir():
        _audit_run(table, quiet, json)
        return
    if output is not None:
        find_writer(output)
    found = auditing.audit(
        table,
        train=train,
        validation=validation,
        test=test,
        split=split,
        sequence=sequence,
        id=id,
        label=label,
        similarity=similarity,
        identity=identity,
        clusters=clusters,
        alphabet=alphabet,
    )
    summary = [overlap._asdict() for overlap in found.overlaps]
    facts = {"overlaps": summary, "leaks": found.has_leaks, "similarity": similarity}
    facts |= {"alphabet": found.alphabet, "clusters": found.how, "label": found.label}
    if output is not None:
        notes = options.provenance(
            table=table, train=train, validation=validation, test=test, split=split, **facts
        )
        write_table(found.pairs, output, notes)
    options.say("Alphabet", found.alphabet, quiet)
    if found.how:
        options.say("Clusters", found.how, quiet)
    for one in found.overlaps:
        turned = f", {one.reverse_complement:,} reverse complements" * (found.alphabet == "dna")
        options.say(
            "Copies",
            f"{one.part_b} in {one.part_a}: {one.exact:,} of {one.size_b:,} rows exact{turned} "
            f"({one.distinct:,} distinct sequences), {one.near:,} near (>= {similarity:.0%})",
            quiet,
        )
        if found.label:
            options.say(
                "Labels", f"{one.conflicts:,} of these rows contradict {found.label!r}", quiet
            )
        if one.clusters is not None:
            options.say(
                "Kin", f"{one.clusters:,} clusters in both; {one.clustered:,} rows in them", quiet
            )
    verdict = "leaks" if found.has_leaks else "no copies across parts"
    options.say("Verdict", verdict + (f": pairs in {output}" * (output is not None)), quiet)
    options.answer(facts | {"output": output}, json)
    if found.has_leaks:
        raise typer.Exit(4)


def _audit_run(directory: str, quiet: bool, json: bool) -> None:
    """The inflated and the clean figures of a run, side by side."""
    from lexome.training.clean import audit_run

    found = audit_run(directory)
    one = found.models[0].metrics
    options.say(
        "Leaks",
        f"{one.leaked:,} of {one.rows:,} test rows have a copy (>= {found.similarity:.0%}) among "
        "training or validation rows",
        quiet,
    )
    for judged in found.models:
        for name in found.headline:
            inflated, clean = judged.metrics.inflated[name], judged.metrics.clean[name]
            title = f"{judged.model}, {name.replace('_', ' ')}"
            options.say("Test", f"{title}: {inflated:.3f} on all, {clean:.3f} without", quiet)
    models = [judged.metrics._asdict() | {"model": judged.model} for judged in found.models]
    options.answer({"run": directory, "similarity": found.similarity, "models": models}, json)
    if one.leaked:
        raise typer.Exit(4)


EXAMPLES = """\b
Examples:
  lexome audit --train train.csv --test test.csv -o leaks.csv
  lexome audit split.parquet --split column:part --label Mitochondrion
  lexome audit runs/mito
"""
