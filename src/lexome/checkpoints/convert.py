"""A model from one published layout into another, read again before it is called done."""

import shutil
from pathlib import Path
from typing import NamedTuple

import torch

from lexome.architectures.decoder import Decoder
from lexome.architectures.striped_hyena import StripedHyena
from lexome.checkpoints.into_decoders import save_decoder
from lexome.checkpoints.into_evo import save_evo
from lexome.checkpoints.into_files import save_model
from lexome.checkpoints.layouts import load_path
from lexome.checkpoints.load import find_source
from lexome.checkpoints.loaded import count_parameters
from lexome.errors import CheckpointError, InputError

EXACT = ("inv_freq", "long_filter.poles", "long_filter.residues")  # in fp32 whatever is asked for
DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


class Converted(NamedTuple):
    """What `lexome convert` did."""

    name: str
    layout: str  # it was read from
    became: str  # it was written in
    parameters: int
    path: Path  # what `--model` takes
    left: dict[str, str]  # tensors of the source that are not needed -> reason


def convert_model(
    name: str, output: Path, to: str = "hf", dtype: str = "fp32", offline: bool = False
) -> Converted:
    """Write a model to a new directory.

    Raises:
        InputError: a directory that is there already, an unknown layout or dtype.
        CheckpointError: a source that cannot be loaded; numbers that would not survive.
    """
    if dtype not in DTYPES:
        raise InputError("dtype", repr(dtype), "fp32, fp16 or bf16", "`--dtype fp32`")
    if output.exists():
        raise InputError(str(output), "something there already", "a new directory", "another name")
    source = find_source(name, offline, None)
    loaded = load_path(source.path)
    unfinished = output.parent / f".{output.name}.unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    try:
        written = unfinished
        if isinstance(loaded.network, Decoder) and to == "hf":
            save_decoder(loaded.network, loaded.tokenizer, unfinished, DTYPES[dtype])
        elif isinstance(loaded.network, StripedHyena) and to == "hf":
            save_evo(loaded.network, unfinished, DTYPES[dtype])
        else:
            written = save_model(
                loaded.network, loaded.tokenizer, loaded.layout, unfinished, to, DTYPES[dtype]
            )
        again = load_path(written)
        _compare(
            loaded.network.state_dict(), again.network.state_dict(), DTYPES[dtype], source.name
        )
        unfinished.rename(output)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    path = output if written == unfinished else output / written.name
    parameters = count_parameters(loaded.network)
    left = dict(loaded.accounting.unused)
    return Converted(source.name, loaded.layout, again.layout, parameters, path, left)


def _compare(
    before: dict[str, torch.Tensor], after: dict[str, torch.Tensor], dtype: torch.dtype, name: str
) -> None:
    """Number for number, after the rounding that was asked for."""
    for key, tensor in before.items():
        rounded = tensor if key.endswith(EXACT) else tensor.to(dtype).float()
        if key not in after or not torch.equal(rounded, after[key]):
            raise CheckpointError(
                name, f"{key} otherwise after writing", "the same numbers", "a report of this"
            )
        if not torch.isfinite(rounded).all() and torch.isfinite(tensor).all():
            raise CheckpointError(
                name, f"{key} beyond the largest fp16", "finite numbers", "`--dtype bf16`"
            )
