"""`lexome scan`: every substitution at every position, as a table and a heat map."""

from pathlib import Path
from typing import Annotated

import typer

from lexome.cli import options


def scan(
    source: Annotated[
        str, typer.Argument(metavar="SEQ|IN", help="A sequence, or a file: FASTA, CSV, ...; -.")
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
            "--output",
            "-o",
            help="A table by its ending, with heat map (.svg) and report (.html) beside it.",
        ),
    ] = None,
    rule: Annotated[
        str | None,
        typer.Option(help="wt-marginal (the default: one pass), masked-marginal, ...; see docs."),
    ] = None,
    positions: Annotated[
        str | None, typer.Option(help="Only these, from 1: 24-286 or 1-10,40.")
    ] = None,
    long: options.Long = "refuse",
    picture: Annotated[
        Path | None, typer.Option(help="The heat map: .svg, .png or .pdf; else beside the table.")
    ] = None,
    dtype: options.Dtype = "fp32",
    sequence: options.Sequence = None,
    id: options.Id = None,
    device: options.Device = "auto",
    offline: options.Offline = False,
    quiet: options.Quiet = False,
    json: options.Json = False,
) -> None:
    """Score every substitution at every position of proteins or DNA; higher is more likely.

    With -o, the table is drawn as a heat map too. Killed at any moment, the same command goes on
    where it stopped.
    """
    from lexome.inference.ensemble import describe, load_together
    from lexome.inference.parts import check_output
    from lexome.results.tables import print_table
    from lexome.scoring.mutants.rules import make_mutant_scorer
    from lexome.scoring.scan import letters_of, rank_positions
    from lexome.scoring.scan import scan as scan_source
    from lexome.scoring.scan_file import scan_file
    from lexome.scoring.scan_pictures import check_picture, draw_scans

    if output is None and picture is not None:
        output = picture.with_suffix(".csv")
    if output is not None:
        check_output(output)
        check_picture(picture)
    loaded = load_together(model, dtype, device, offline)
    facts = describe(loaded)
    options.say("Model", f"{facts['model']}: {dtype} on {facts['device']}", quiet)
    scorer = make_mutant_scorer(loaded, rule, long)
    options.say("Rule", f"{scorer.rule}: {scorer.definition}", quiet)
    if output is None:
        print_table(scan_source(loaded, source, scorer.rule, long, positions))
        return
    notes = options.provenance(**facts, input=source, positions=positions, long=long)
    letters = letters_of(loaded)
    done = scan_file(scorer, source, output, notes, positions, quiet, sequence, id, letters)
    if done.resumed_sequences:
        options.say("Resumed", f"{done.resumed_sequences:,} sequences stood already", quiet)
    drawn = draw_scans(output, picture)
    if drawn.first is not None:
        least, most = rank_positions(drawn.first, 3)
        told = f"most tolerant: {', '.join(most)}   least tolerant: {', '.join(least)}"
        options.say("Positions", told, quiet)
    options.say("Saved", f"{output}: {done.rows:,} rows of {done.sequences:,} sequences", quiet)
    if drawn.report is not None:
        shown = f"{drawn.report}, and {drawn.pictures[0]}"
        more = f" (the first {drawn.sequences} sequences)" * (drawn.sequences < done.sequences)
        options.say("Pictures", shown + more, quiet)
    else:
        options.say("Pictures", "none: too many positions; choose with --positions", quiet)
    if done.without_score:
        options.say("Reasons", f"{done.without_score:,} rows have no score: see reason", quiet)
    summary = done._asdict() | {"output": output, "report": drawn.report}
    options.answer(summary | {"pictures": drawn.pictures}, json)
    if done.without_score:
        raise typer.Exit(4)


EXAMPLES = """\b
Examples:
  lexome scan MQIFVKTLTGKTITLEVEPSDTIENVKAKIQDKEGIPPDQQRLIFAGKQLEDGRTLSDYNIQ -o ubiquitin.csv
  lexome scan proteins.fasta --rule masked-marginal --positions 1-40 -o scans.parquet
"""
