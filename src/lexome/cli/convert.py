"""`lexome convert`: a model in another published layout."""

from pathlib import Path
from typing import Annotated

import typer

from lexome.cli import options


def convert(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="Catalogue name, directory, .pt file or hub id.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="A directory to make.")],
    to: Annotated[str, typer.Option(help="hf (Hugging Face) or fair (fair-esm's .pt).")] = "hf",
    dtype: Annotated[str, typer.Option(help="Of the stored numbers: fp32, fp16 or bf16.")] = "fp32",
    offline: options.Offline = False,
    quiet: options.Quiet = False,
    json: options.Json = False,
) -> None:
    """Write a model as safetensors in the Hugging Face layout, or as fair-esm's files.

    What was written is read again and compared, number for number.
    """
    from lexome.checkpoints.convert import convert_model

    done = convert_model(model, output, to, dtype, offline)
    options.say("Model", f"{done.name}: {done.layout}, {done.parameters:,} parameters", quiet)
    options.say("Saved", f"{done.path} as {done.became}, {dtype}; read again: identical", quiet)
    for name, reason in done.left.items():
        options.say("Left out", f"{name}: {reason}", quiet)
    options.answer(done._asdict(), json)


EXAMPLES = """\b
Examples:
  lexome convert protein-mini -o protein-mini-fp16 --dtype fp16
  lexome convert models/esm1b_t33_650M_UR50S.pt -o esm1b-hf
"""
