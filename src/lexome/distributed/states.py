"""The state of a training over any number of ranks, by torch's distributed checkpoints (DCP)."""

import os
import re
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.state_dict import (
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save

from lexome.distributed.contents import CheckedReader, check_same, check_sums, read_contents
from lexome.distributed.ranks import Ranks
from lexome.errors import CheckpointError, LexomeError
from lexome.results.files import translate_disk_errors, write_text

PREFIX = "state-"
LATEST = "latest.txt"
CONTENTS = ".metadata"  # DCP's name for it


def save_state(
    folder: Path,
    step: int,
    network: nn.Module,
    optimizers: list[torch.optim.Optimizer],
    extra: dict[str, Tensor],
    ranks: Ranks,
) -> None:
    """Write the state of `step` beside the last one, then point to it, then remove the others.

    A kill or a full disk at any moment leaves the last good state in place. All ranks must see the
    same `folder`. A failure on one of them is raised on all.
    """
    path = folder / f"{PREFIX}{step:09d}"
    with translate_disk_errors(path):
        if _agree_on_latest(folder, ranks) == step:
            return  # never touch the state that is pointed to; this one would be the same
        with ranks.together():
            if ranks.is_first:
                if path.exists():  # of a run that was killed while it wrote this one
                    shutil.rmtree(path)
                path.mkdir(parents=True)
        try:
            with _quiet(), _one_cause():
                save(_state(network, optimizers, extra), checkpoint_id=path)
        except Exception:
            if ranks.is_first:  # nobody writes any longer: DCP raises on all ranks at once
                shutil.rmtree(path, ignore_errors=True)
            raise
        with ranks.together():
            if ranks.is_first:
                _flush_folder(path)
                write_text(folder / LATEST, path.name + "\n")
                for other in folder.glob(f"{PREFIX}*"):
                    if other != path:
                        shutil.rmtree(other, ignore_errors=True)


def load_state(
    folder: Path,
    network: nn.Module,
    optimizers: list[torch.optim.Optimizer],
    extra: dict[str, Tensor],
    ranks: Ranks,
) -> bool:
    """Put the last good state back, whatever number of ranks saved it; False where there is none.

    Raises:
        CheckpointError: a state of another network, or one that cannot be read.
    """
    step = _agree_on_latest(folder, ranks)
    if step < 0:
        return False
    path = folder / f"{PREFIX}{step:09d}"
    found = _state(network, optimizers, extra)
    with ranks.together():
        contents = read_contents(path / CONTENTS)
        check_same(path, contents, found)
        check_sums(path, contents, ranks.rank, ranks.size)
    try:
        with _quiet(), _one_cause():
            load(found, storage_reader=CheckedReader(path, contents))
    except LexomeError:
        raise
    except Exception as problem:  # whatever reading damaged files leads to
        raise CheckpointError(
            str(path),
            "damaged files: " + " ".join(str(problem).split())[:300],
            "what Lexome wrote there",
            "a copy of that folder, or another output",
        ) from problem
    set_model_state_dict(network, found["network"])
    groups = get_optimizer_state_dict(network, optimizers)["param_groups"]
    set_optimizer_state_dict(
        network, optimizers, optim_state_dict={"state": found["optimizer"], "param_groups": groups}
    )
    for key, tensor in extra.items():
        tensor.copy_(found["extra"][key])
    return True


def _agree_on_latest(folder: Path, ranks: Ranks) -> int:
    """The step of the last good state as the first rank sees it; -1 where there is none."""
    step, pointer = -1, folder / LATEST
    with ranks.together():
        if ranks.is_first and pointer.is_file():
            text = pointer.read_bytes().decode("utf-8", "replace").strip()
            if not (match := re.fullmatch(rf"{PREFIX}(\d{{9,18}})", text)):
                raise CheckpointError(
                    str(pointer), repr(text)[:80], f"the name of a state, {PREFIX}000000000",
                    f"the name of a folder that lies there as {PREFIX}*",
                )  # fmt: skip
            step = int(match[1])
    return ranks.agree(step)


def _state(
    network: nn.Module, optimizers: list[torch.optim.Optimizer], extra: dict[str, Tensor]
) -> dict[str, Any]:
    # Tensors only: DCP would pickle anything else. Rates and the like come from the recipe.
    return {
        "network": get_model_state_dict(network),
        "optimizer": get_optimizer_state_dict(network, optimizers)["state"],
        "extra": extra,
    }


@contextmanager
def _one_cause() -> Iterator[None]:
    """DCP gathers what went wrong on all ranks in something that is no `Exception`."""
    try:
        yield
    except CheckpointException as problem:
        cause = next(iter(problem.failures.values()))[0]
        raise cause from problem


@contextmanager
def _quiet() -> Iterator[None]:
    """DCP warns whenever it works in a single process, which here is no accident."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*torch.distributed is.*single process.*")
        warnings.filterwarnings("ignore", message=".*torch.distributed is disabled.*")
        warnings.filterwarnings("ignore", message=".*TypedStorage is deprecated.*")
        yield


def _flush_folder(path: Path) -> None:
    """The names of the files, to the disk; DCP has flushed the files themselves."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
