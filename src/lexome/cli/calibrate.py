"""`lexome calibrate`: a score becomes a probability, fitted and judged on a labelled table."""

from pathlib import Path
from typing import Annotated

import typer

from lexome.cli import options


def calibrate(
    table: Annotated[
        str, typer.Argument(metavar="TABLE", help="Scored rows: CSV, TSV, Parquet; .gz; -.")
    ],
    score: Annotated[str, typer.Option(help="Column of the score.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="A new folder; with --use, a table.")
    ],
    label: Annotated[
        str | None, typer.Option(help="Column of the truth: 0 and 1, or two names.")
    ] = None,
    positive: Annotated[str | None, typer.Option(help="Which name is the positive class.")] = None,
    group: Annotated[
        str | None, typer.Option(help="Column whose rows stay together, such as the gene.")
    ] = None,
    prevalence: Annotated[
        float | None, typer.Option(help="Share of positives where it is to be used.")
    ] = None,
    about: Annotated[
        str, typer.Option(help="What the rows are, in words; goes into the limits.")
    ] = "",
    seed: Annotated[int, typer.Option(help="Of the folds.")] = 0,
    use: Annotated[
        Path | None, typer.Option(help="A folder made before: write probabilities by it.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the folder.")] = False,
    quiet: options.Quiet = False,
    json: options.Json = False,
) -> None:
    """Fit score -> probability (logistic or isotonic), judge it on held-out rows, say its limits.

    Writes the function, a reliability plot with intervals and the held-out figures. With --use,
    writes a probability a row; scores outside the range seen get a reason instead. No cut-off is
    made.
    """
    from lexome.errors import InputError
    from lexome.evaluation.calibrate_table import (
        calibrate_table,
        load_calibration,
        read_rows,
        use_calibration,
    )
    from lexome.results.tables import write_table

    if use is not None:
        saved = load_calibration(use)
        made = use_calibration(saved, table, score, prevalence)
        notes = options.provenance(model=use, input=table, score=score, prevalence=prevalence)
        write_table(made, output, notes | {"limits": saved.facts["limits"]})
        fitted_to = saved.facts["provenance"].get("score")
        if fitted_to != score:
            options.say("Note", f"it was fitted to the column {fitted_to!r}, not {score!r}", quiet)
        unsaid = int(made["probability"].null_count())
        options.say("Saved", f"{output}: {made.height:,} rows, {unsaid:,} with a reason", quiet)
        options.answer({"output": output, "rows": made.height, "unscored": unsaid}, json)
        if unsaid:
            raise typer.Exit(4)
        return
    if label is None:
        raise InputError(
            "lexome calibrate", "no --label", "the column of the truth", "--label NAME"
        )
    rows = read_rows(table, score, label, group, positive)
    options.say("Read", f"{len(rows.truth):,} rows, {rows.truth.mean():.1%} positive", quiet)
    for reason, count in rows.left_out.items():
        options.say("Left out", f"{count:,} rows: {reason}", quiet)
    notes = options.provenance(input=table, score=score, label=label, group=group, seed=seed)
    found, limits = calibrate_table(rows, output, notes, about, prevalence, seed, overwrite)
    options.say("Method", f"{found.calibrator.method} (folds: {', '.join(found.methods)})", quiet)
    for name, one in found.figures.items():
        between = f" [{one.low:.3f}, {one.high:.3f}]" if one.low == one.low else ""
        options.say("Held out", f"{name.replace('_', ' ')} {one.value:.3f}{between}", quiet)
    for limit in limits:
        options.say("Limit", limit, quiet)
    options.say("Saved", f"{output}: calibration.json, reliability.svg, held_out.csv", quiet)
    figures = {name: one._asdict() for name, one in found.figures.items()}
    facts = {"method": found.calibrator.method, "figures": figures, "limits": limits}
    options.answer({"output": output} | facts, json)


EXAMPLES = """\b
Examples:
  lexome calibrate clinvar.csv --score PhyloP --label ClinVar_label --group gene -o runs/phylop
  lexome calibrate new.csv --use runs/phylop --score PhyloP --prevalence 0.05 -o probabilities.csv
"""
