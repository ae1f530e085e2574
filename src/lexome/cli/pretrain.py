"""`lexome pretrain`: a recipe becomes a language model."""

from pathlib import Path
from typing import Annotated

import typer

from lexome.cli import options


def pretrain(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="TOML; see recipes/.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Directory of the run.")],
    set: options.Set = None,
    parallel: Annotated[
        str, typer.Option(help="Under torchrun: ddp (copies) or fsdp (shards).")
    ] = "ddp",
    minutes: Annotated[
        float | None, typer.Option(help="Stop after so long; the same command goes on.")
    ] = None,
    device: options.Device = "auto",
    quiet: options.Quiet = False,
    json: options.Json = False,
) -> None:
    """Train a language model from random weights; the result loads with `--model OUTPUT/model`.

    Sequences become a corpus of token shards first: cleaned, without exact copies, and with a
    part held out to which nothing trained on is similar. Killed at any moment, the same command
    goes on to the same numbers. Under `torchrun` it uses all devices for the same run.
    """
    from lexome.training.pretraining.pretrain import pretrain as run_pretrain

    done = run_pretrain(
        recipe,
        output=output,
        overrides=options.overrides(set),
        device=device,
        parallel=parallel,
        minutes=minutes,
        quiet=quiet,
        announce=lambda what, text: options.say(what, text, quiet),
        command=options.command_line(),
    )
    options.answer(
        {"run": done.directory, "finished": done.finished, "model": done.model, **done.facts}, json
    )


EXAMPLES = """\b
Examples:
  lexome pretrain recipes/protein-tiny.toml -o runs/tiny \\
      --set data.sources='["proteins.fasta"]'
  lexome pretrain recipes/protein-mini.toml -o runs/mini --minutes 30
"""
