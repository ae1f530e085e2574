"""`lexome variants`: what mutations do, from a table of them."""

from pathlib import Path
from typing import Annotated

import typer

from lexome.cli import options


def variants(
    source: Annotated[
        str, typer.Argument(metavar="IN", help="A table of mutations: CSV, TSV, Parquet; .gz.")
    ],
    fasta: Annotated[
        str, typer.Option(help="The reference: a protein, or a FASTA file of one or several.")
    ],
    model: Annotated[
        str,
        typer.Option(
            "--model", "-m", help="Catalogue name, directory or hub id; esm1v is five models."
        ),
    ] = "protein-mini",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="A table by its ending; else on the terminal, CSV in a pipe."
        ),
    ] = None,
    rule: Annotated[
        str | None,
        typer.Option(help="wt-marginal (the default: one pass), masked-marginal, ...; see docs."),
    ] = None,
    mutant: Annotated[
        str | None, typer.Option(help="The column of changes, such as A12G:C45D; else guessed.")
    ] = None,
    reference: Annotated[
        str | None, typer.Option(help="The column that names each row's reference; else guessed.")
    ] = None,
    offset: Annotated[int, typer.Option(help="Added to every position of the table first.")] = 0,
    long: options.Long = "refuse",
    dtype: options.Dtype = "fp32",
    device: options.Device = "auto",
    offline: options.Offline = False,
    quiet: options.Quiet = False,
    json: options.Json = False,
) -> None:
    """Score mutations of proteins: one row an input row, with a reason where there is no score.

    Every reference residue is checked first. Killed at any moment, the same command goes on where
    it stopped.
    """
    from lexome.inference.ensemble import describe, load_together
    from lexome.inference.parts import check_output
    from lexome.results.tables import print_table
    from lexome.scoring.protein_rules import make_mutant_scorer
    from lexome.scoring.variant_rows import read_references
    from lexome.scoring.variants import Asked, score_variants
    from lexome.scoring.variants_file import score_variants_file

    if output is not None:
        check_output(output)
    references = read_references(fasta)
    loaded = load_together(model, dtype, device, offline)
    facts = describe(loaded)
    options.say("Model", f"{facts['model']}: {dtype} on {facts['device']}", quiet)
    scorer = make_mutant_scorer(loaded, rule, long)
    options.say("Rule", f"{scorer.rule}: {scorer.definition}", quiet)
    if output is None:
        table = score_variants(
            *(scorer, source, references), mutant=mutant, reference_column=reference, offset=offset
        )
        print_table(table)
        lacking = int(table["score"].null_count())
    else:
        notes = options.provenance(**facts, input=source, fasta=fasta, long=long)
        done = score_variants_file(
            *(Asked(scorer, references, offset), source, output, notes, mutant, reference, quiet)
        )
        if done.resumed_rows:
            options.say("Resumed", f"{done.resumed_rows:,} rows stood from an earlier run", quiet)
        options.say("Saved", f"{output}: {done.rows:,} rows", quiet)
        options.answer(done._asdict() | {"output": output}, json)
        lacking = done.without_score
    if lacking:
        options.say("Reasons", f"{lacking:,} rows have no score: see the column reason", quiet)
        raise typer.Exit(4)


EXAMPLES = """\b
Examples:
  lexome variants mutants.csv --fasta MQIFVKTLTGKTITLEVEPSDTIENVKAKIQDKEGIPPDQQ
  lexome variants assay.csv --fasta protein.fasta --rule masked-marginal -o scores.parquet
"""
