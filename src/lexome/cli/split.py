"""`lexome split`: a table gets the part, or the fold, of every row, without leakage."""

from pathlib import Path
from typing import Annotated

import typer

from lexome.cli import options

Clusters = Annotated[str, typer.Option(help="auto, mmseqs2 or kmers: how kin is found.")]
Alphabet = Annotated[str, typer.Option(help="auto (by the letters), protein or dna.")]
Gap = Annotated[
    int | None,
    typer.Option(help="Bases between blocks of two parts; else the longest sequence."),
]
SplitIdentity = Annotated[
    float | None,
    typer.Option(help="Of clusters: 0.3 by MMseqs2; by k-mers 0.45, and for DNA 0.8."),
]


def split(
    table: Annotated[str, typer.Argument(metavar="TABLE", help="CSV, TSV or Parquet; .gz; -.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Parquet, CSV, TSV or JSONL.")],
    split: Annotated[
        str,
        typer.Option(
            help="cluster, random, column:NAME, chromosome:NAME, block:POSITION or "
            "block:CHROMOSOME,POSITION."
        ),
    ] = "cluster",
    stratify: Annotated[
        str | None, typer.Option(help="Label column to have alike in all parts.")
    ] = None,
    parts: Annotated[
        str, typer.Option(help="Shares of train, validation and test; or of train and test.")
    ] = "0.7,0.1,0.2",
    folds: Annotated[int | None, typer.Option(help="So many folds instead of parts.")] = None,
    train: Annotated[str, typer.Option(help="Split column's values to train on: 0,1,2")] = "",
    validation: Annotated[str, typer.Option(help="Values to validate on.")] = "",
    test: Annotated[str, typer.Option(help="Values to test on.")] = "",
    identity: SplitIdentity = None,
    clusters: Clusters = "auto",
    alphabet: Alphabet = "auto",
    block_size: Annotated[int, typer.Option(help="Bases of a block of a genome.")] = 1_000_000,
    gap: Gap = None,
    group: Annotated[
        str | None, typer.Option(help="Column whose values must not stand in two parts.")
    ] = None,
    sequence: options.Sequence = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same parts.")] = 0,
    quiet: options.Quiet = False,
    json: options.Json = False,
) -> None:
    """Write the table with the columns part (or fold) and group; say what each part holds.

    Similar sequences stay together by default. Refused: a class that a part does not have, a
    group larger than a part, groups on two sides, a label that is the same everywhere.
    """
    from lexome.evaluation import split_table
    from lexome.results.tables import find_writer, write_table

    find_writer(output)
    made = split_table.split(
        table,
        split,
        stratify=stratify,
        sequence=sequence,
        identity=identity,
        clusters=clusters,
        alphabet=alphabet,
        parts=_shares(parts),
        folds=folds,
        train=_values(train),
        validation=_values(validation),
        test=_values(test),
        block_size=block_size,
        gap=gap,
        group=group,
        seed=seed,
    )
    summaries = [summary._asdict() for summary in made.summaries]
    notes = options.provenance(input=table, **made.notes, parts=summaries)
    write_table(made.frame, output, notes, own=made.own)
    if "how" in made.notes:
        options.say("Clusters", made.notes["how"], quiet)
    if "largest_group" in made.notes:
        largest = made.notes["largest_group"]
        options.say("Groups", f"{made.notes['groups']:,}, the largest of {largest:,} rows", quiet)
    if "gap" in made.notes:
        options.say("Gap", f"{made.notes['gap']:,} bases; {made.notes['in_gaps']:,} rows", quiet)
    for part in made.summaries:
        grouped = "" if part.groups is None else f" in {part.groups:,} groups"
        balance = ", ".join(
            f"{name} {value:.4g}" if name == "mean" else f"{name} {value:.1%}"
            for name, value in part.balance.items()
        )
        text = f"{part.rows:,} rows ({part.share:.1%}){grouped}" + (f": {balance}" * bool(balance))
        options.say(f"fold {part.name}" if part.name.isdigit() else part.name, text, quiet)
    if made.copies:
        options.say("Copies", f"{made.copies:,} rows whose equal stands in an earlier part", quiet)
    if "beware" in made.notes:
        options.say("Random", made.notes["beware"], quiet)
    options.say("Saved", f"{output}: {made.frame.height:,} rows", quiet)
    options.answer({"output": output, **made.notes, "parts": summaries}, json)


def _values(text: str) -> list[str] | None:
    return [value.strip() for value in text.split(",") if value.strip()] or None


def _shares(text: str) -> list[float]:
    from lexome.errors import InputError

    try:
        return [float(value) for value in text.split(",")]
    except ValueError:
        raise InputError(
            "--parts", repr(text), "numbers with commas between", "--parts 0.8,0.1,0.1"
        ) from None


EXAMPLES = """\b
Examples:
  lexome split proteins.csv --stratify Mitochondrion --identity 0.3 -o split.parquet
  lexome split enhancers.csv --folds 5 --stratify label -o folds.csv
  lexome split peaks.csv --split block:chrom,start --block-size 500000 -o split.parquet
  lexome split variants.csv --split chromosome:CHROM --group gene -o split.parquet
"""
