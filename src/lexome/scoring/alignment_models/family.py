"""A fitted family model, and the directory that keeps it: tensors and JSON, nothing that runs."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from lexome.errors import CheckpointError, InputError
from lexome.results.files import json_text, translate_disk_errors, write_json
from lexome.sequence.focus import Focus

FORMAT = "lexome-family 1"
WEIGHTS, FACTS = "model.safetensors", "family.json"


class FamilyModel(NamedTuple):
    """What a rule needs to score mutants of one family's query.

    `columns` are the focus columns that the model has. `identity` tells the fit: format, rule,
    settings, hash of the alignment; `facts` what came of it.
    """

    rule: str
    focus: Focus
    columns: tuple[int, ...]
    tensors: dict[str, Tensor]
    identity: dict[str, Any]
    facts: dict[str, Any]

    def fingerprint(self) -> tuple[object, ...]:
        """All that a score depends on besides sequence and mutant."""
        return (self.rule, json_text(self.identity), self.facts["tensors_sha256"])


def save_family_model(model: FamilyModel, output: Path) -> None:
    """Write the directory whole or not at all; a free name or an empty directory is its place.

    Raises:
        InputError: something else stands there.
    """
    refuse_taken(output)
    folder = output.parent / f".{output.name}.unfinished"
    with translate_disk_errors(output):
        shutil.rmtree(folder, ignore_errors=True)  # of a killed run
        folder.mkdir(parents=True)
        try:
            tensors = {name: value.contiguous() for name, value in model.tensors.items()}
            save_file(tensors, folder / WEIGHTS)
            told = {"identity": model.identity, "facts": model.facts, "columns": model.columns}
            write_json(folder / FACTS, {"rule": model.rule, "focus": model.focus._asdict()} | told)
            if output.is_dir():
                output.rmdir()  # it is empty
            folder.rename(output)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise


def refuse_taken(output: Path) -> None:
    """Refuse a place where something stands already.

    Raises:
        InputError: a file, or a directory that is not empty.
    """
    if output.is_dir() and not any(output.iterdir()):
        return
    if output.exists():
        seen = "a file" if output.is_file() else "a directory that is not empty"
        raise InputError(str(output), seen, "a free name", "another directory")


def load_family_model(directory: str | Path) -> FamilyModel:
    """The model that `save_family_model` wrote.

    Raises:
        CheckpointError: none there, or a damaged one.
    """
    folder = Path(directory)
    path = folder / FACTS
    if not path.is_file():
        seen = f"no {FACTS}" if folder.is_dir() else "no such directory"
        raise CheckpointError(
            str(folder), seen, "a saved family model", "the directory that the fit was told"
        )
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        if told["identity"]["format"] != FORMAT:
            raise CheckpointError(
                str(path), repr(told["identity"]["format"]), repr(FORMAT), "fitting it anew"
            )
        focus = dict(told["focus"])
        focus["offsets"] = tuple(focus["offsets"])
        tensors = load_file(folder / WEIGHTS)
        model = FamilyModel(
            str(told["rule"]),
            Focus(**focus),
            tuple(told["columns"]),
            tensors,
            told["identity"],
            told["facts"],
        )
        is_whole = hash_tensors(tensors) == model.facts["tensors_sha256"]
    except (OSError, KeyError, TypeError, ValueError, SafetensorError) as problem:
        if isinstance(problem, CheckpointError):
            raise
        raise CheckpointError(
            str(folder), f"a damaged model ({problem!r})", "what the fit wrote", "fitting it anew"
        ) from problem
    if not is_whole:
        seen = f"weights in {WEIGHTS} that are not those of {FACTS}"
        raise CheckpointError(str(folder), seen, "both of one fit", "fitting it anew")
    return model


def hash_tensors(tensors: dict[str, Tensor]) -> str:
    """SHA-256 over names, shapes and values, by name."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        value = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {tuple(value.shape)} {value.dtype}\n".encode())
        digest.update(value.view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
