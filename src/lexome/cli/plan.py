"""`lexome plan`: what a recipe costs before it is begun."""

from typing import TYPE_CHECKING, Annotated

import typer

from lexome.cli import options

if TYPE_CHECKING:
    from lexome.training.plan import TrainingPlan


def plan(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="TOML; see recipes/.")],
    set: options.Set = None,
    quiet: options.Quiet = False,
    json: options.Json = False,
) -> None:
    """Say how large a recipe's model is, what memory it needs, and how long it takes where.

    The CPU here is measured on the spot; figures of GPUs follow from one H200 that was measured,
    and those of many GPUs from assumed links: docs/scaling.md tells how, and how far off.
    """
    from lexome.training.plan import plan_recipe

    planned = plan_recipe(recipe, options.overrides(set))
    if json:
        facts = planned._asdict() | {
            "memory": planned.memory._asdict() | {"total": planned.memory.total},
            "gpu_memory": planned.gpu_memory._asdict() | {"total": planned.gpu_memory.total},
            "forecasts": [forecast._asdict() for forecast in planned.forecasts],
        }
        options.answer(facts, True)
        return
    for what, text in _lines(planned):
        options.say(what, text, quiet)
    _print(planned)


def _lines(planned: "TrainingPlan") -> list[tuple[str, str]]:
    length = "assumed, as there is no corpus yet" if planned.is_assumed else "as in the corpus"
    return [
        ("Model", f"{planned.parameters:,} parameters"),
        ("Work", f"{planned.tokens:,} tokens, {planned.flops_per_token / 1e6:.3g} MFLOP each"),
        ("Length", f"{planned.mean_length:.0f} residues a sequence, {length}"),
        ("Memory", _memory(planned)),
    ]


def _memory(planned: "TrainingPlan") -> str:
    here, there = planned.memory, planned.gpu_memory
    fixed = here.total - here.activations
    return (
        f"in {planned.dtype} {here.total / 1e9:.1f} GB on a CPU, at most {there.total / 1e9:.1f} "
        f"on a GPU; of these {fixed / 1e9:.1f} for weights, gradients and the optimiser, the rest "
        "for a micro-batch"
    )


def _print(planned: "TrainingPlan") -> None:
    import polars as pl

    from lexome.results import columns
    from lexome.results.tables import print_table

    rows = [
        {
            columns.MACHINE: f.machine,
            columns.BUSY: f.busy,
            columns.TOKENS_PER_S: int(_rounded(f.tokens_per_second)),
            columns.HOURS_PER_1E9: _rounded(f.hours_per_billion),
            columns.HOURS: _rounded(f.hours),
            columns.BASIS: f.basis,
        }
        for f in planned.forecasts
    ]
    print_table(pl.DataFrame(rows), "hours_per_1e9: a billion tokens; hours: the whole recipe")


def _rounded(number: float) -> float:
    return float(f"{number:.3g}")


EXAMPLES = """\b
Examples:
  lexome plan recipes/esm2-8m.toml
  lexome plan recipes/esm2-150m.toml --set training.micro_tokens=33000
"""
