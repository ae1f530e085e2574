"""`lexome plan`: what a recipe costs before it is begun."""

from typing import TYPE_CHECKING, Annotated

import typer

from lexome.cli import options

if TYPE_CHECKING:
    from lexome.training.pretraining.plan import TrainingPlan


def plan(
    recipe: Annotated[
        str, typer.Argument(metavar="RECIPE", help="TOML, see recipes/; or the word generate.")
    ],
    set: options.Set = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="To generate with: name or directory.")
    ] = None,
    length: Annotated[int, typer.Option(help="Tokens of the prompt.")] = 1,
    n: Annotated[int, typer.Option("-n", help="Sequences.")] = 1,
    max_new: Annotated[int, typer.Option(help="Tokens behind the prompt.")] = 256,
    max_rows: Annotated[int | None, typer.Option(help="Sequences at a time.")] = None,
    dtype: Annotated[str, typer.Option(help="Of a generation: fp32 or bf16.")] = "fp32",
    device: options.Device = "auto",
    offline: options.Offline = False,
    quiet: options.Quiet = False,
    json: options.Json = False,
) -> None:
    """Say what a pre-training or a generation costs before it is begun: memory and time.

    Of a recipe, the CPU here is measured on the spot; figures of GPUs follow from one H200 that was
    measured, and those of many GPUs from assumed links: docs/scaling.md tells how, and how far off.
    Of a generation, the state is made and weighed, and a few steps are run in it.
    """
    if recipe == "generate":
        amounts = (length, n, max_new, max_rows)
        _plan_generation(model, amounts, (dtype, device, offline), quiet, json)
        return
    from lexome.training.pretraining.plan import plan_recipe

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


def _plan_generation(
    name: str | None,
    amounts: tuple[int, int, int, int | None],
    place: tuple[str, str, bool],
    quiet: bool,
    json: bool,
) -> None:
    from lexome.errors import InputError
    from lexome.generation.cost import plan_generation
    from lexome.inference.model import load

    if name is None:
        raise InputError("plan generate", "no model", "one", "`--model progen2-small`")
    dtype, device, offline = place
    loaded = load(name, dtype=dtype, device=device, offline=offline)
    cost = plan_generation(loaded, *amounts)
    if json:
        options.answer(cost._asdict() | {"memory": cost.memory}, True)
        return
    card = loaded.card
    length, n, max_new, _ = amounts
    lines = {
        "Model": f"{card.name}: {card.parameters:,} parameters, {dtype} on {loaded.device}",
        "Work": f"{n:,} sequences of {length:,} + {max_new:,} tokens, {cost.rows} at a time",
        "Memory": f"{_bytes(cost.memory)}: weights {_bytes(cost.weights)}, key-value cache "
        f"{_bytes(cost.cache)} (grows with length), other states {_bytes(cost.fixed)} (do not), "
        f"reading the prompt about {_bytes(cost.working)}",
        "Time": f"about {_duration(cost.seconds)}: the prompt {cost.prompt_seconds:,.2f} s, then "
        f"{cost.tokens_per_second:,.0f} tokens a second",
    }
    for what, text in lines.items():
        options.say(what, text, quiet)


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:,.0f} hours"


def _bytes(number: int) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6)):
        if number >= size:
            return f"{number / size:,.1f} {unit}"
    return f"{number / 1e3:,.0f} kB"


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
  lexome plan generate -m runs/gpt/model --length 1 -n 100 --max-new 500
"""
