"""What a pre-training costs before it is begun: parameters, operations, memory, time."""

import math
from pathlib import Path
from typing import NamedTuple

import torch

from lexome.architectures.families import build
from lexome.batches.shards import MANIFEST, Corpus, open_corpus
from lexome.checkpoints.blank import no_values
from lexome.checkpoints.loaded import count_parameters
from lexome.devices import choose_training_dtype, product_ceiling
from lexome.layers.products import KEPT, filled
from lexome.training.pretraining.machines import (
    H200,
    Machine,
    flops_of_token,
    step_of,
    this_machine,
)
from lexome.training.pretraining.recipe import Recipe, read_recipe

VOCABULARY = 33
MEAN_LENGTH = 300.0  # residues, where there is no corpus yet that could tell
FLEETS = (1, 8, 64, 512)


class Memory(NamedTuple):
    """Bytes on a device that keeps the whole network, at the widest moment of a step."""

    weights: int
    gradients: int
    optimizer: int
    average: int
    copies: int  # of the matrices in bf16
    activations: int

    @property
    def total(self) -> int:
        """All of it."""
        return sum(self)


class Forecast(NamedTuple):
    """A recipe on some devices."""

    machine: str  # how many of what
    devices: int
    busy: int  # of them have work: a step has no more micro-batches to share
    tokens_per_second: float
    hours_per_billion: float
    hours: float  # the whole recipe
    basis: str  # interpolated where width and micro-batch lie within what was measured


class TrainingPlan(NamedTuple):
    """What a recipe costs."""

    parameters: int
    flops_per_token: float
    mean_length: float  # residues
    is_assumed: bool  # the mean length, as there is no corpus yet
    dtype: str
    memory: Memory  # on a CPU
    gpu_memory: Memory  # at most
    tokens: int
    forecasts: list[Forecast]


def plan_recipe(path: str | Path, overrides: dict[str, str] | None = None) -> TrainingPlan:
    """The cost of a recipe here and on GPUs; takes a moment, as the CPU's ceiling is measured.

    Args:
        path: a TOML file.
        overrides: `table.key -> value`, taken instead of the recipe's.

    Raises:
        InputError: a recipe that cannot be used.
    """
    recipe = read_recipe(path, overrides)
    folder = Path(path).parent / recipe.data.corpus
    has_corpus = bool(recipe.data.corpus) and (folder / MANIFEST).exists()
    mean = _mean_length(open_corpus(folder)) if has_corpus else MEAN_LENGTH
    dtype = choose_training_dtype(recipe.training.dtype, "cpu", recipe.model.family).choice
    here = this_machine(product_ceiling("cpu", dtype), torch.get_num_threads())
    fleets = [(here, 1), *((H200, devices) for devices in FLEETS)]
    tokens = recipe.training.steps * recipe.training.token_batch
    return TrainingPlan(
        num_parameters(recipe),
        flops_of_token(recipe, mean),
        mean,
        not has_corpus,
        dtype,
        memory_of(recipe, dtype, mean),
        memory_of(recipe, dtype, mean, keeps_probabilities=False),
        tokens,
        [forecast(recipe, mean, machine, devices) for machine, devices in fleets],
    )


def forecast(recipe: Recipe, mean: float, machine: Machine, devices: int = 1) -> Forecast:
    """The time of a recipe on some devices; looking at what is held out and saving not counted."""
    training = recipe.training
    step = step_of(recipe, mean, num_parameters(recipe), machine, devices)
    speed = training.token_batch / step.seconds
    # what many devices do to each other was never measured
    is_within = devices == 1 and machine.was_measured_near(recipe)
    return Forecast(
        f"{devices * machine.units} {machine.name}",
        devices,
        step.busy,
        speed,
        1e9 / speed / 3600,
        training.steps * step.seconds / 3600,
        "interpolated" if is_within else "extrapolated",
    )


def flops_per_token(recipe: Recipe, corpus: Corpus) -> float:
    """Multiplications and additions of one training token of a corpus."""
    return flops_of_token(recipe, _mean_length(corpus))


def num_parameters(recipe: Recipe) -> int:
    """Trained numbers of the recipe's network, its language-model head among them."""
    model = recipe.model
    with no_values():
        network = build(model.family, model.settings(recipe.training.context))
    return count_parameters(network)


def memory_of(recipe: Recipe, dtype: str, mean: float, keeps_probabilities: bool = True) -> Memory:
    """Where the memory of a training step goes, sequences `mean` tokens long.

    A CPU keeps the attention's probabilities of sequences up to 512 tokens, a GPU keeps none (and
    its compiled bricks less of the rest); the process itself and its libraries come on top.
    """
    model, training = recipe.model, recipe.training
    count = num_parameters(recipe)
    matrices = model.num_layers * (4 * model.width**2 + 2 * model.width * model.ffn_width)
    stepped_by_muon = matrices if training.optimizer == "muon" else 0
    share = recipe.objective.rate if recipe.objective.kind == "masked" else 1.0
    layer = layer_bytes(recipe, dtype, mean, keeps_probabilities)
    kept = model.num_layers * layer + ends_bytes(recipe, dtype, share)
    # the way back through the last layer holds two gradients of its widest tensors, and x's own
    size = 2 if dtype == "bf16" else 4
    working = 2 * size * model.ffn_width + (4 + size) * model.width
    tokens = min(training.micro_tokens, training.token_batch)
    return Memory(
        weights=4 * count,
        gradients=4 * count,
        optimizer=8 * count - 4 * stepped_by_muon,  # two moments, or one
        average=4 * count if training.average else 0,
        copies=2 * (matrices + model.width**2) if dtype == "bf16" else 0,
        activations=round(tokens * (kept + working)),
    )


def layer_bytes(recipe: Recipe, dtype: str, mean: float, keeps_probabilities: bool = True) -> float:
    """What a block keeps of a token for the way back.

    x twice (it stays in fp32), what both norms gave (under autocast cast anew for each of the
    four products that read it), q, k, v and their context, the attention's probabilities, the
    feed-forward before and behind GELU; the masks of dropout; mean and deviation of both norms.
    """
    model = recipe.model
    size, norms = (2, 4) if dtype == "bf16" else (4, 2)
    masks = 2 if model.dropout else 0
    wide = 2 * 4 + (norms + 4 + masks) * size
    # A longer sequence keeps none; where lengths vary, this is the more.
    length = min(math.ceil(mean), recipe.training.context, KEPT)
    weights = model.num_heads * filled(length) ** 2 / length * size if keeps_probabilities else 0
    return wide * model.width + 2 * size * model.ffn_width + weights + 16


def ends_bytes(recipe: Recipe, dtype: str, share: float) -> float:
    """The same outside the blocks: angles, last norm, and the head where the loss is taken."""
    model = recipe.model
    size = 2 if dtype == "bf16" else 4
    logits = VOCABULARY * (8 + size)  # as they come, in fp32, and as log-probabilities
    head = 4 * size * model.width + 8 + logits
    return 4 * model.width + 4 * (model.width // model.num_heads) + 22 + share * head


def _mean_length(corpus: Corpus) -> float:
    return corpus.train.residues / max(corpus.train.sequences, 1)
