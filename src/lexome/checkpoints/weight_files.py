"""Tensors of a model directory, from safetensors or torch's files: nothing in them can run."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from safetensors import SafetensorError, safe_open
from torch import Tensor

from lexome.checkpoints.mapped import map_tensors
from lexome.checkpoints.torch_files import Placeholder, read_torch_file
from lexome.errors import CheckpointError

# Looked for in this order: what holds only tensors comes first.
KINDS = ("model.safetensors", "pytorch_model.bin", "weights.ckpt")
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"


class Tensors(NamedTuple):
    """Tensors by the names that their files give them."""

    by_name: dict[str, Tensor]
    placeholders: tuple[str, ...]  # classes that a torch file names and that were not made


def weight_paths(directory: Path) -> list[Path]:
    """The weight files of a model directory: one, or the shards that its index names.

    Raises:
        CheckpointError: none there, or not all.
    """
    for kind in KINDS:
        index = directory / f"{kind}.index.json"
        if index.is_file():
            paths = _shards(index)
            absent = [path.name for path in paths if not path.is_file()]
            if absent:
                raise _absent(directory, absent[0])
            return paths
        if (directory / kind).is_file():
            return [directory / kind]
    raise _absent(directory, WEIGHTS)


def _shards(index: Path) -> list[Path]:
    shards = read_json(index).get("weight_map")
    if not isinstance(shards, dict) or not shards:
        raise CheckpointError(
            str(index), "no weight_map", "the file of each tensor", "a fresh download of the model"
        )
    names = sorted({str(name) for name in shards.values()})
    if any(Path(name).name != name for name in names):
        raise CheckpointError(
            str(index),
            "a shard outside of the directory",
            "file names without folders",
            "a fresh download of the model",
        )
    return [index.parent / name for name in names]


def _absent(directory: Path, name: str) -> CheckpointError:
    there = sorted(p.name for p in directory.iterdir()) if directory.is_dir() else []
    return CheckpointError(
        str(directory),
        f"no {name} (it holds {', '.join(there) or 'nothing'})",
        "the weights as safetensors, or as pytorch_model.bin",
        "a directory or hub revision that has model.safetensors",
    )


def read_tensors(directory: Path) -> Tensors:
    """Every tensor of a model directory by the name that its file gives it.

    Raises:
        CheckpointError: missing or broken files, a tensor that stands twice.
    """
    tensors: dict[str, Tensor] = {}
    placeholders: set[str] = set()
    for path in weight_paths(directory):
        if path.suffix == ".safetensors":
            found: Iterator[tuple[str, Tensor]] = _read_safetensors(path)
        else:
            read = read_torch_file(path)
            placeholders.update(read.placeholders)
            content = read.content
            if path.suffix == ".ckpt" and isinstance(content, dict):  # of a training
                content = content.get("state_dict")
            found = iter(check_tensors(content, str(path)).items())
        for name, tensor in found:
            if name in tensors:
                raise CheckpointError(
                    str(path), f"the tensor {name} twice", "each once", "a fresh download"
                )
            tensors[name] = tensor
    return Tensors(tensors, tuple(sorted(placeholders)))


def check_tensors(state: object, where: str) -> dict[str, Tensor]:
    """A dict of tensors by name, as a torch file holds it.

    Raises:
        CheckpointError: no dict, or a value that is no tensor.
    """
    if not isinstance(state, dict) or not state:
        raise CheckpointError(
            where, "no dict of tensors", "the weights by name", "the published file"
        )
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            what = type(value).__name__
            if isinstance(value, Placeholder):
                what = f"an object of {getattr(value, 'stands_for', 'a class')}, which is not read"
            raise CheckpointError(
                where, f"{what} as {name!r}", "tensors only", "the weights saved as plain tensors"
            )
    return state


def _read_safetensors(path: Path) -> Iterator[tuple[str, Tensor]]:
    try:
        with safe_open(path, framework="pt") as file:
            names = list(file.keys())
        yield from map_tensors(path, names)
    except (SafetensorError, ValueError) as problem:
        raise CheckpointError(
            str(path), f"a broken file ({problem})", "whole safetensors", "a fresh download"
        ) from problem


def read_json(path: Path) -> dict[str, object]:
    """A JSON object of a model directory."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(
            str(path.parent), f"no {path.name}", f"a file {path.name}", "the whole model directory"
        ) from None
    except (json.JSONDecodeError, UnicodeDecodeError) as problem:
        raise CheckpointError(
            str(path), f"broken JSON ({problem})", "JSON", "a fresh copy"
        ) from None
    if not isinstance(value, dict):
        raise CheckpointError(str(path), "no JSON object", "an object {...}", "a fresh copy")
    return value


def read_lines(path: Path) -> list[str]:
    """The lines of a vocabulary."""
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise CheckpointError(
            str(path.parent), f"no {path.name}", "the model's tokens", "the whole model directory"
        ) from None
    except UnicodeDecodeError as problem:
        raise CheckpointError(
            str(path), f"no text ({problem})", "a token a line", "a fresh copy"
        ) from None
