"""`lexome evaluate SUITE`: published tests, end to end; one function a suite."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from lexome.cli import evaluate_homology, evaluate_suite, options

if TYPE_CHECKING:
    import polars as pl

    from lexome.scoring.mutants.scorer import MutantScorer
    from lexome.suites.regions import ScorePairs

DnaModel = Annotated[
    str | None,
    typer.Option("--model", "-m", help="DNA model put beside: catalogue name, directory, hub id."),
]
DnaRule = Annotated[
    str | None, typer.Option(help="Its rule for pairs of windows; else the first that fits it.")
]
Window = Annotated[
    int | None, typer.Option(help="Bases of a window, the variant in the middle; else 8,192.")
]
Strands = Annotated[str | None, typer.Option(help="forward, reverse or both; else both.")]
Scores = Annotated[
    Path | None, typer.Option(help="A table by its ending for the score of every variant.")
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
    data: options.SuiteData = None,
    output: options.SuiteOutput = None,
    scores: Annotated[
        Path | None, typer.Option(help="Folder for a table of scores of each assay.")
    ] = None,
    published: Annotated[
        str | None,
        typer.Option(help="Published model put beside, such as 'Site-Independent'; else its own."),
    ] = None,
    alignment: Annotated[
        Path | None,
        typer.Option(help="Of the one assay's protein: for the rules site, hmm, potts, vae."),
    ] = None,
    family_model: Annotated[
        Path | None, typer.Option(help="Folder of the fitted family model: used, or kept there.")
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
    if alignment is not None or family_model is not None:
        name, scorer, facts = _load_family(alignment, rule, family_model, len(found), quiet)
    else:
        loading = _Loading(dtype, device, offline, quiet)
        name, scorer, facts = _load_scorer(model, rule, long, loading)
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
    model: DnaModel = None,
    rule: DnaRule = None,
    window: Window = None,
    strands: Strands = None,
    protein_model: Annotated[
        str | None,
        typer.Option(help="Protein model for the missense rows, read on the two known stretches."),
    ] = None,
    protein_rule: Annotated[
        str | None, typer.Option(help="Its rule, such as wt-marginal; or blosum62 alone.")
    ] = None,
    data: options.SuiteData = None,
    output: options.SuiteOutput = None,
    scores: Scores = None,
    dtype: options.Dtype = "fp32",
    device: options.Device = "auto",
    offline: options.Offline = False,
    quiet: options.Quiet = False,
    json: options.Json = False,
) -> None:
    """Tell BRCA1 variants of lost function from the others: AUROC and AUPRC with intervals.

    All 3,893 reference bases are held to the region's sequence first. CADD, phyloP, PolyPhen and
    SIFT stand beside. With --scores, a killed run goes on where it stopped.
    """
    from lexome.suites.brca1 import judge_brca1, open_brca1, score_dna, score_missense
    from lexome.suites.classes import Floats

    suite = open_brca1(data)
    options.say("Checked", f"{len(suite.variants):,} reference bases agree", quiet)
    ours: dict[str, Floats] = {}
    facts: dict[str, object] = {}
    if model is not None:
        loaded = _Loading(dtype, device, offline, quiet)
        name, score_pairs, facts = _load_pairs(model, rule, strands, window, loaded, scores)
        ours[name], reasons = score_dna(suite, score_pairs, window)
        _say_unscored(reasons, quiet)
    if protein_model or protein_rule:
        name, scorer, more = _load_scorer(
            protein_model, protein_rule, "refuse", _Loading(dtype, device, offline, quiet)
        )
        facts |= {"protein_model": more, "protein_rule": scorer.rule}
        called = name if name == scorer.rule else f"{name} {scorer.rule}"
        ours[called], _ = score_missense(suite.table, scorer)
    _finish(judge_brca1(suite, ours), output, facts, quiet, json)


def clinvar(
    model: DnaModel = None,
    rule: DnaRule = None,
    window: Window = None,
    strands: Strands = None,
    data: options.SuiteData = None,
    output: options.SuiteOutput = None,
    scores: Scores = None,
    dtype: options.Dtype = "fp32",
    device: options.Device = "auto",
    offline: options.Offline = False,
    quiet: options.Quiet = False,
    json: options.Json = False,
) -> None:
    """Tell pathogenic variants from benign ones: many published predictors, group by group.

    A model of yours scores the variants whose sequence is at hand: those of BRCA1's region. They
    are too few to rank predictors by; --scores writes them one by one.
    """
    from lexome.suites.clinvar import judge_clinvar, open_clinvar, score_dna

    suite = open_clinvar(data)
    ours, facts = {}, dict[str, object]()
    if model is not None:
        loaded = _Loading(dtype, device, offline, quiet)
        name, score_pairs, facts = _load_pairs(model, rule, strands, window, loaded, scores)
        ours[name], reasons = score_dna(suite, score_pairs, window)
        _say_unscored(reasons, quiet)
    _finish(judge_clinvar(suite, ours), output, facts, quiet, json)


def _say_unscored(reasons: dict[int, str], quiet: bool) -> None:
    if reasons:
        first = next(iter(reasons.values()))
        options.say("Unscored", f"{len(reasons):,} variants; the first: {first}", quiet)


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


class _Loading(NamedTuple):
    """How models are loaded."""

    dtype: str
    device: str
    offline: bool
    quiet: bool


def _load_scorer(
    model: str | None, rule: str | None, long: str, loading: _Loading
) -> tuple[str, "MutantScorer", dict[str, object]]:
    """The name of the model, its rule made ready, and what the output's notes say of it."""
    from lexome.errors import InputError
    from lexome.scoring.mutants.substitution_matrix import blosum62_scorer

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
    from lexome.scoring.mutants.rules import make_mutant_scorer

    loaded = load_together(model, loading.dtype, loading.device, loading.offline)
    facts = describe(loaded)
    name = model if isinstance(loaded, Ensemble) else str(facts["model"])
    options.say("Model", f"{name}: {loading.dtype} on {facts['device']}", loading.quiet)
    return name, make_mutant_scorer(loaded, rule, long), facts


def _load_family(
    alignment: Path | None, rule: str | None, saved: Path | None, num_assays: int, quiet: bool
) -> tuple[str, "MutantScorer", dict[str, object]]:
    """The same of a model that is fitted to the alignment of the one assay."""
    from lexome.errors import InputError
    from lexome.training.alignment_models.fit import family_scorer

    if num_assays != 1:
        raise InputError(
            "--alignment", f"{num_assays} assays", "the one whose protein it is of", "--assays NAME"
        )
    scorer = family_scorer(alignment, rule or "potts", saved, quiet=quiet)
    facts: dict[str, object] = {"alignment": alignment, "family_model": saved}
    return scorer.rule, scorer, facts


def _load_pairs(
    model: str,
    rule: str | None,
    strands: str | None,
    window: int | None,
    loading: _Loading,
    scores: Path | None,
) -> tuple[str, "ScorePairs", dict[str, object]]:
    """The same of a DNA model that compares windows."""
    from lexome.inference.ensemble import describe
    from lexome.inference.model import load
    from lexome.scoring.pairs.rules import make_pair_scorer
    from lexome.suites.pair_scores import pairs_scorer

    loaded = load(model, loading.dtype, loading.device, loading.offline)
    facts = describe(loaded) | {"window": window}
    scorer = make_pair_scorer(loaded, rule, strands)
    name = f"{facts['model']} {scorer.rule}"
    options.say("Model", f"{facts['model']}: {loading.dtype} on {facts['device']}", loading.quiet)
    options.say("Rule", f"{scorer.rule}: {scorer.definition}", loading.quiet)
    notes = options.provenance(**facts, rule=scorer.rule)
    return name, pairs_scorer(scorer, scores, lambda: notes, loading.quiet), facts


_PROTEINGYM = """\b
Examples:
  lexome evaluate proteingym --rule blosum62 --assays BLAT_ECOLX_Stiffler_2015
  lexome evaluate proteingym -m protein-mini --rule wt-marginal -o proteingym.csv
"""
_BRCA1 = """\b
Examples:
  lexome evaluate brca1
  lexome evaluate brca1 -m evo-1-8k-base --scores evo.parquet -o brca1.csv
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
    "gue": (evaluate_suite.gue, evaluate_suite.GUE_EXAMPLES),
    "nt": (evaluate_suite.nt, evaluate_suite.NT_EXAMPLES),
    "deeploc": (evaluate_suite.deeploc, evaluate_suite.DEEPLOC_EXAMPLES),
    "homology": (evaluate_homology.homology, evaluate_homology.EXAMPLES),
}
for name, (function, examples) in SUITES.items():
    app.command(name=name, epilog=examples)(function)
