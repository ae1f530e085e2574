"""`lexome evaluate SUITE`: published tests, end to end; one function a suite."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lexome.cli import options

if TYPE_CHECKING:
    import polars as pl

    from lexome.scoring.mutants import MutantScorer

Data = Annotated[
    Path | None,
    typer.Option(help="Folder of the suite's files; else found in LEXOME_SHARED or ../shared."),
]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="A table by its ending; else on the terminal alone."),
]
NO_MODEL = "blosum62"  # the rule that needs none

app = typer.Typer(
    name="evaluate",
    help="Run a published test end to end and show its figures beside the published ones.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)


def proteingym(
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Catalogue name, directory or hub id.")
    ] = None,
    rule: Annotated[
        str | None, typer.Option(help="A rule for mutants, such as wt-marginal; or blosum62.")
    ] = None,
    assays: Annotated[
        list[str] | None, typer.Option(help="An assay by name; may be repeated. Else all.")
    ] = None,
    data: Data = None,
    output: Output = None,
    scores: Annotated[
        Path | None, typer.Option(help="Folder for a table of scores of each assay.")
    ] = None,
    published: Annotated[
        str | None,
        typer.Option(help="Published model put beside, such as 'Site-Independent'; else its own."),
    ] = None,
    long: options.Long = "refuse",
    dtype: options.Dtype = "fp32",
    device: options.Device = "auto",
    offline: options.Offline = False,
    quiet: options.Quiet = False,
    json: options.Json = False,
) -> None:
    """Rank the mutants of deep mutational scans: Spearman, AUROC, MCC, NDCG and top recall.

    Files in the layout of ProteinGym. Killed at any moment, the same command with -o goes on at
    the assay where it stopped. Published values stand beside where the rows are the same.
    """
    from lexome.progress import show_progress
    from lexome.suites.proteingym import (
        Judge,
        aggregate,
        evaluate_proteingym,
        open_suite,
        read_published,
    )

    folder, found = open_suite(data, assays)
    name, scorer, facts = _load_scorer(model, rule, long, dtype, device, offline, quiet)
    options.say("Rule", f"{scorer.rule}: {scorer.definition}", quiet)
    options.say("Assays", f"{len(found)} in {folder}", quiet)
    judge = Judge(scorer, name, read_published(name, published), scores)
    notes = options.provenance(data=folder, rule=scorer.rule, **facts)
    with show_progress("Assays", len(found), "assays", quiet) as progress:
        table, resumed = evaluate_proteingym(found, judge, output, lambda: notes, progress)
    if resumed:
        options.say("Resumed", f"{resumed} assays stood from an earlier run", quiet)
    means = aggregate(table, found)
    if json:
        options.answer({"assays": table.to_dicts(), "means": means.to_dicts()}, True)
    else:
        _show_assays(table, means)
    _say_saved(output, table, quiet)
    if lacking := int(table["spearman"].is_null().sum()):
        options.say("Reasons", f"{lacking} assays have no figures: see the column note", quiet)
        raise typer.Exit(4)


def _show_assays(table: "pl.DataFrame", means: "pl.DataFrame") -> None:
    from lexome.results import columns
    from lexome.results.tables import print_table

    print_table(_rounded(table.drop(columns.MODEL, columns.RULE)), most_rows=len(table))
    print_table(_rounded(means), "means of the comparable assays, as ProteinGym's")


def brca1(
    protein_model: Annotated[
        str | None,
        typer.Option(help="Protein model for the missense rows, read on the two known stretches."),
    ] = None,
    protein_rule: Annotated[
        str | None, typer.Option(help="Its rule, such as wt-marginal; or blosum62.")
    ] = None,
    data: Data = None,
    output: Output = None,
    dtype: options.Dtype = "fp32",
    device: options.Device = "auto",
    offline: options.Offline = False,
    quiet: options.Quiet = False,
    json: options.Json = False,
) -> None:
    """Tell BRCA1 variants of lost function from the others: AUROC and AUPRC with intervals.

    All 3,893 reference bases are held to the region's sequence first. CADD, phyloP, PolyPhen and
    SIFT stand beside.
    """
    from lexome.suites.brca1 import judge_brca1, open_brca1, score_missense
    from lexome.suites.classes import Floats

    suite = open_brca1(data)
    options.say("Checked", f"{len(suite.variants):,} reference bases agree", quiet)
    ours: dict[str, Floats] = {}
    facts: dict[str, object] = {}
    if protein_model or protein_rule:
        name, scorer, facts = _load_scorer(
            protein_model, protein_rule, "refuse", dtype, device, offline, quiet
        )
        found, reasons = score_missense(suite.table, scorer)
        ours[f"{name} {scorer.rule}".strip()] = found
        options.say("Unscored", f"{len(reasons):,} rows that change no residue", quiet)
    _finish(judge_brca1(suite, ours), output, facts, quiet, json)


def clinvar(
    data: Data = None,
    output: Output = None,
    quiet: options.Quiet = False,
    json: options.Json = False,
) -> None:
    """Tell pathogenic variants from benign ones: many published predictors, group by group."""
    from lexome.suites.clinvar import judge_clinvar, open_clinvar

    suite = open_clinvar(data)
    _finish(judge_clinvar(suite, {}), output, {}, quiet, json)


def _finish(
    table: "pl.DataFrame", output: Path | None, facts: dict[str, object], quiet: bool, json: bool
) -> None:
    """Save the whole table, and show the rows of all variants."""
    import polars as pl

    from lexome.results import columns
    from lexome.results.tables import print_table, write_table
    from lexome.suites.classes import ALL

    if output is not None:
        write_table(table, output, options.provenance(**facts))
    if json:
        options.answer({"rows": table.to_dicts()}, True)
        return
    shown = table.filter(pl.col(columns.GROUP) == ALL) if output is not None else table
    print_table(_rounded(shown), most_rows=len(shown))
    _say_saved(output, table, quiet)


def _say_saved(output: Path | None, table: "pl.DataFrame", quiet: bool) -> None:
    if output is not None:
        options.say("Saved", f"{output}: {table.height:,} rows", quiet)


def _rounded(table: "pl.DataFrame") -> "pl.DataFrame":
    import polars as pl

    return table.with_columns(pl.col(pl.Float64).round(3))


def _load_scorer(
    model: str | None,
    rule: str | None,
    long: str,
    dtype: str,
    device: str,
    offline: bool,
    quiet: bool,
) -> tuple[str, "MutantScorer", dict[str, object]]:
    """The name of the model, its rule made ready, and what the output's notes say of it."""
    from lexome.errors import InputError
    from lexome.scoring.substitution_matrix import blosum62_scorer

    if rule == NO_MODEL and model is None:
        return NO_MODEL, blosum62_scorer(), {}
    if rule == NO_MODEL or model is None:
        raise InputError(
            "lexome evaluate",
            f"--rule {rule} with a model" if model else "no model",
            "a model and a rule of its kind, or --rule blosum62 alone",
            "-m protein-mini --rule wt-marginal",
        )
    from lexome.inference.ensemble import Ensemble, describe, load_together
    from lexome.scoring.protein_rules import make_mutant_scorer

    loaded = load_together(model, dtype, device, offline)
    facts = describe(loaded)
    name = model if isinstance(loaded, Ensemble) else str(facts["model"])
    options.say("Model", f"{name}: {dtype} on {facts['device']}", quiet)
    return name, make_mutant_scorer(loaded, rule, long), facts


_PROTEINGYM = """\b
Examples:
  lexome evaluate proteingym --rule blosum62 --assays BLAT_ECOLX_Stiffler_2015
  lexome evaluate proteingym -m protein-mini --rule wt-marginal -o proteingym.csv
"""
_BRCA1 = """\b
Examples:
  lexome evaluate brca1
  lexome evaluate brca1 --protein-model protein-mini --protein-rule masked-marginal -o brca1.csv
"""
_CLINVAR = """\b
Examples:
  lexome evaluate clinvar
  lexome evaluate clinvar -o clinvar.parquet
"""
SUITES: dict[
    str, tuple[Callable[..., None], str]
] = {  # one line a suite: its function and the examples that end its help
    "proteingym": (proteingym, _PROTEINGYM),
    "brca1": (brca1, _BRCA1),
    "clinvar": (clinvar, _CLINVAR),
}
for name, (function, examples) in SUITES.items():
    app.command(name=name, epilog=examples)(function)
