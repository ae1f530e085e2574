"""`lexome compare`: several runs on the same test rows, and which of them differ."""

from pathlib import Path
from typing import Annotated

import typer

from lexome.cli import options


def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Directories of finetune.")],
    label: Annotated[
        list[str] | None, typer.Option(help="A name for each run, in their order.")
    ] = None,
    reference: Annotated[
        str | None, typer.Option(help="Name of the run that all are compared with: the first.")
    ] = None,
    shared: Annotated[
        bool, typer.Option("--shared", help="Use the test rows that all have, if not the same.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="By its ending: .html with a picture, .md, .csv, .parquet, ..."
        ),
    ] = None,
    quiet: options.Quiet = False,
    json: options.Json = False,
) -> None:
    """Compare runs by paired differences on the same test rows; ties are declared as ties.

    Groups of similar sequences are drawn whole, the same for both runs, and seeds of either; p
    values are corrected by Holm.
    """
    from lexome.reports.compare import cells_of, write_comparison
    from lexome.results.tables import find_writer, write_table
    from lexome.training.compare import compare as compare_runs

    is_page = output is not None and output.suffix in (".html", ".md")
    if output is not None and not is_page:
        find_writer(output)  # refuses an unknown ending before the work
    found = compare_runs(runs, labels=label or None, reference=reference, shared=shared)
    notes = options.provenance(runs=[str(run) for run in runs])
    facts = found._asdict() | {"provenance": notes}
    if output is not None and is_page:
        write_comparison(output, found.table, facts)
    elif output is not None:
        kept = ("reference", "rows", "groups", "left_out", "notes")
        write_table(found.table, output, notes | {key: facts[key] for key in kept})
    told = f"{found.rows:,} test rows in {found.groups:,} groups"
    if any(found.left_out.values()):
        told += "; left out " + ", ".join(f"{n:,} of {k}" for k, n in found.left_out.items())
    options.say("Rows", told, quiet)
    for note in found.notes:
        options.say("Note", note, quiet)
    if output is not None:
        options.say("Saved", str(output), quiet)
    if json:
        options.answer(facts | {"table": found.table.to_dicts(), "output": output}, json)
        return
    for run, metric, figure, ends, difference, apart, p, verdict in cells_of(
        found.table, found.headline
    ):
        said = f"{metric:<15} {run:<24} {figure} {ends}"
        if difference:
            said += f"   {difference} {apart}   p = {p}   {verdict}"
        print(said if difference else f"{said}   {verdict}")


EXAMPLES = """\b
Examples:
  lexome compare runs/cnn runs/mini
  lexome compare runs/cnn runs/mini runs/ia3 --label CNN --label frozen --label IA3 -o runs.html
  lexome compare runs/cnn runs/mini --shared --reference mini -o runs.csv
"""
