"""`lexome fewshot`: a few labelled mutants and any zero-shot score make a better predictor."""

from pathlib import Path
from typing import Annotated

import typer

from lexome.cli import options


def fewshot(
    table: Annotated[
        str, typer.Argument(metavar="TABLE", help="Mutants: CSV, TSV, Parquet; .gz; -.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="A new folder; with --use, a table.")
    ],
    label: Annotated[
        str | None, typer.Option(help="Column of the measurements; higher is fitter.")
    ] = None,
    score: Annotated[
        str | None, typer.Option(help="Column of a zero-shot score; without it, residues alone.")
    ] = None,
    mutant: Annotated[
        str | None, typer.Option(help="Column of the mutants (A12G:C45D); else guessed.")
    ] = None,
    sizes: Annotated[
        str, typer.Option(help="Numbers of labelled mutants that the curve shows.")
    ] = "24,48,96,192,384,768,1000",
    splits: Annotated[int, typer.Option(help="How often the rows are split anew.")] = 20,
    seed: Annotated[int, typer.Option(help="Of the splits and folds.")] = 0,
    use: Annotated[
        Path | None, typer.Option(help="A folder made before: predict, instead of fitting.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the folder.")] = False,
    quiet: options.Quiet = False,
    json: options.Json = False,
) -> None:
    """Fit a ridge regression on residues and a score, with its learning curve on held-out mutants.

    Writes the curve (table and picture) beside residues alone and the score alone, and a model
    fitted to all rows. With --use, predicts the mutants of a table by such a model.
    """
    from lexome.errors import InputError
    from lexome.progress import show_progress
    from lexome.results.tables import print_table, write_table
    from lexome.training.few_shot_run import load_augmented, predict_table, read_rows, run_few_shot

    if use is not None:
        found = predict_table(load_augmented(use), table, score, mutant)
        write_table(found, output, options.provenance(model=use, input=table, score=score))
        unscored = int(found["value"].null_count())
        options.say("Saved", f"{output}: {found.height:,} rows, {unscored:,} with a reason", quiet)
        options.answer({"output": output, "rows": found.height, "unscored": unscored}, json)
        if unscored:
            raise typer.Exit(4)
        return
    if label is None:
        raise InputError(
            "lexome fewshot", "no --label", "the column of measurements", "--label NAME"
        )
    try:
        asked = [int(size) for size in sizes.split(",")]
    except ValueError:
        raise InputError("--sizes", repr(sizes), "numbers with commas", "--sizes 24,96") from None
    rows = read_rows(table, label, score, mutant)
    options.say("Read", f"{table}: {len(rows.mutants):,} labelled mutants", quiet)
    for reason, count in rows.left_out.items():
        options.say("Left out", f"{count:,} rows: {reason}", quiet)
    notes = options.provenance(input=table, label=label, score=score, seed=seed, splits=splits)
    with show_progress("Splits", splits, "splits", quiet) as progress:
        done = run_few_shot(
            rows, output, notes, asked, splits, seed, score or "", overwrite, progress.advance
        )
    if not json:
        print_table(done.curve, "Spearman on held-out mutants", most_rows=len(done.curve))
    options.say("Saved", f"{output}: curve.csv, curve.svg, curve.png and the model", quiet)
    facts = {"rows": done.rows, "left_out": done.left_out, "curve": done.curve.to_dicts()}
    options.answer({"output": output} | facts, json)


EXAMPLES = """\b
Examples:
  lexome fewshot BLAT.csv --label DMS_score --score esm1v_mean -o runs/blat
  lexome fewshot new_mutants.csv --use runs/blat --score esm1v_mean -o predicted.csv
"""
