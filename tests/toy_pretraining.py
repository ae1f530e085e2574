"""A pre-training of seconds: a recipe, its proteins, and its log read back."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lexome.training.pretraining import pretrain as pretraining
from tests.toys import random_proteins, write_fasta

RECIPE = """
name = "toy"

[data]
sources = ["proteins.fasta"]
corpus = "corpus"
heldout = 0.0
shortest = 10

[model]
num_layers = 1
width = 16
num_heads = 2
ffn_width = 32

[training]
steps = 20
token_batch = 600
micro_tokens = 200
context = 100
learning_rate = 5e-3
warmup = 5
average = 0.9
dtype = "fp32"

[watch]
log_every = 1
"""


def write_recipe(folder: Path, num: int = 80) -> Path:
    """The recipe, and beside it so many proteins."""
    proteins = random_proteins(num, low=20, high=150)
    write_fasta(folder / "proteins.fasta", ((f"p{i}", p) for i, p in enumerate(proteins)))
    path = folder / "toy.toml"
    path.write_text(RECIPE)
    return path


@contextmanager
def unmeasured() -> Iterator[None]:
    """Pre-trainings without half a second for measuring the machine at each start."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pretraining, "product_ceiling", lambda device, dtype: 1e9)
        yield


def read_log(output: Path) -> list[dict[str, Any]]:
    """The lines of a run's log without what depends on the clock."""
    lines = [json.loads(line) for line in (output / "log.jsonl").read_text().splitlines()]
    return [
        {k: v for k, v in line.items() if k not in ("tokens_per_second", "share_of_ceiling")}
        for line in lines
    ]


def losses(output: Path) -> list[float]:
    """The loss of every step."""
    return [line["loss"] for line in read_log(output) if "loss" in line]
