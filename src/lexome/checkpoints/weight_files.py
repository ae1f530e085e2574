"""Tensors of a model directory, read from safetensors: nothing in them can run."""

import json
from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor

from lexome.errors import CheckpointError

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"


def weight_paths(directory: Path) -> list[Path]:
    """The safetensors files of a model directory: one, or the shards that its index names."""
    if (directory / INDEX).is_file():
        shards = read_json(directory / INDEX).get("weight_map")
        if not isinstance(shards, dict) or not shards:
            raise CheckpointError(
                str(directory / INDEX),
                "no weight_map",
                "the file of each tensor",
                "a fresh download of the model",
            )
        names = sorted({str(name) for name in shards.values()})
        if any(Path(name).name != name for name in names):
            raise CheckpointError(
                str(directory / INDEX),
                "a shard outside of the directory",
                "file names without folders",
                "a fresh download of the model",
            )
        paths = [directory / name for name in names]
    else:
        paths = [directory / WEIGHTS]
    absent = [path.name for path in paths if not path.is_file()]
    if absent:
        there = sorted(p.name for p in directory.iterdir()) if directory.is_dir() else []
        raise CheckpointError(
            str(directory),
            f"no {absent[0]} (it holds {', '.join(there) or 'nothing'})",
            "the weights as safetensors",
            "a directory or hub revision that has model.safetensors",
        )
    return paths


def read_tensors(directory: Path) -> dict[str, Tensor]:
    """Every tensor of a model directory by the name that its file gives it."""
    tensors: dict[str, Tensor] = {}
    for path in weight_paths(directory):
        try:
            with safe_open(path, framework="pt") as file:
                for name in file.keys():  # noqa: SIM118 - a safetensors handle is no dict
                    if name in tensors:
                        raise CheckpointError(
                            str(path), f"the tensor {name} twice", "each once", "a fresh download"
                        )
                    tensors[name] = file.get_tensor(name)
        except SafetensorError as problem:
            raise CheckpointError(
                str(path), f"a broken file ({problem})", "whole safetensors", "a fresh download"
            ) from problem
    return tensors


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
