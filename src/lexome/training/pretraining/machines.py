"""How fast training goes on the machines that a plan knows: three numbers each, and their source.

A token costs its operations at a share of the speed of a large matrix product. The share grows
with the width: products grow with its square, and all that lies between them (norms, rotations,
GELU, copies) only with the width itself. A micro-batch costs a little whatever its size.
docs/scaling.md holds the predictions against what was measured.
"""

import math
from typing import NamedTuple

from lexome.layers.modal_filter import BLOCK
from lexome.training.pretraining.recipe import Recipe

NVLINK = 450e9  # bytes a second that a GPU sends to its neighbours in one machine (assumed)
NETWORK = 50e9  # the same between machines: one 400 Gbit/s card a GPU (assumed)
IN_A_MACHINE = 8  # GPUs
LEFT_OPEN = 0.75  # of a window, by which the fullest of many equal shares is over their mean
ORTHOGONALISING = 5  # rounds of Newton-Schulz in a step of Muon


class Machine(NamedTuple):
    """A device, and what was measured on it."""

    name: str
    units: int  # of that name in one device: the cores of a CPU
    ceiling: float  # operations a second of a large matrix product
    best_share: float  # of the ceiling, that products in a very wide layer would reach
    even_width: float  # where the products take as long as all that lies between them
    narrowest_head: int  # a narrower head costs attention as much as one of this width
    micro_seconds: float  # of a micro-batch, whatever its size
    muon_seconds: float  # that launching Muon's kernels takes, a matrix
    widths: tuple[int, int]  # measured between,
    micro_tokens: tuple[int, int]  # and between

    def share(self, width: int) -> float:
        """The share of the ceiling that a layer of this width reaches."""
        return self.best_share * width / (width + self.even_width)

    def was_measured_near(self, recipe: Recipe) -> bool:
        """Whether width and micro-batch lie within what was measured."""
        (thin, wide), (few, many) = self.widths, self.micro_tokens
        tokens = min(recipe.training.micro_tokens, recipe.training.token_batch)
        return thin <= recipe.model.width <= wide and few <= tokens <= many


# torch 2.11, bf16, compiled bricks, AdamW, mean length 471. `even_width` and `micro_seconds` from
# 6 x 320, 10 heads, at micro-batches of 65,536 and 131,072; that heads are computed as 32 wide at
# the least is assumed; `muon_seconds` from the median line of the log of protein-mini's training.
H200 = Machine(
    "H200",
    units=1,
    ceiling=662e12,
    best_share=1.0,
    even_width=1007,
    narrowest_head=32,
    micro_seconds=6.1e-3,
    muon_seconds=0.53e-3,
    widths=(256, 640),
    micro_tokens=(65_536, 131_072),
)


def this_machine(ceiling: float, cores: int) -> Machine:
    """The CPU here, of which the ceiling was just measured; shares are those of an AMD EPYC.

    Fitted to 3 x 96 and 12 x 480 on two threads in bf16, to the means of two runs of
    benchmarks/scaling.py; what a narrow head costs to all shapes of those runs.
    """
    return Machine(
        "CPU core" if cores == 1 else "CPU cores",
        cores,
        ceiling,
        best_share=0.76,
        even_width=217,
        narrowest_head=48,
        micro_seconds=0.0,
        muon_seconds=0.0,
        widths=(96, 640),
        micro_tokens=(4_096, 8_192),
    )


class Step(NamedTuple):
    """One update of the weights on some devices."""

    seconds: float
    busy: int  # devices that have a micro-batch of their own
    sharing: float  # seconds of it that gradients are on their way


def flops_of_token(recipe: Recipe, mean: float, narrowest_head: int = 0) -> float:
    """Multiplications and additions of a training token where sequences are `mean` tokens long.

    Two for each weight of a matrix; in attention 4 x length x width a layer, more where a kernel
    computes narrow heads as wider ones; the head only where the loss is taken. Forward once, and
    backward twice that.
    """
    model = recipe.model
    is_hyena = model.family == "striped-hyena"
    layer = 4 * model.width**2 + (3 if is_hyena else 2) * model.width * model.ffn_width
    attention = 4 * min(mean, recipe.training.context) * model.width
    if is_hyena:  # most layers convolve: a block's product, into the state, and out of it
        attending = len(model.attention_layers) / model.num_layers
        convolution = 2 * (BLOCK + 4 * model.num_states) * model.width
        attention = attending * attention + (1 - attending) * convolution
    attention *= max(narrowest_head * model.num_heads / model.width, 1.0)
    share = recipe.objective.rate if recipe.objective.kind == "masked" else 1.0
    dense = model.width**2 if model.family == "encoder" else 0  # of the head, before its rows
    head = 2 * share * (dense + (512 if is_hyena else 33) * model.width)
    return 3 * (model.num_layers * (2 * layer + attention) + head)


def step_of(
    recipe: Recipe, mean: float, parameters: int, machine: Machine, devices: int = 1
) -> Step:
    """How long a step takes: micro-batches in turns, then gradients to all, then the optimiser."""
    training = recipe.training
    runs = num_micro_batches(training.token_batch, training.micro_tokens, training.context)
    speed = machine.ceiling * machine.share(recipe.model.width)
    work = flops_of_token(recipe, mean, machine.narrowest_head)
    micro = machine.micro_seconds + training.token_batch / runs * work / speed
    sharing = seconds_of_sharing(4 * parameters, devices)
    seconds = math.ceil(runs / devices) * micro + sharing + _muon_seconds(recipe, machine, speed)
    return Step(seconds, min(runs, devices), sharing)


def num_micro_batches(token_batch: int, micro_tokens: int, context: int) -> int:
    """Micro-batches of a step, nearly: cuts fall between sequences, so none is quite full.

    >>> num_micro_batches(65_536, 65_536, 1024), num_micro_batches(131_072, 65_536, 1024)
    (1, 3)
    >>> num_micro_batches(2_000_000, 65_536, 1024)
    31
    """
    if token_batch <= micro_tokens:
        return 1
    full = max(micro_tokens - LEFT_OPEN * context, micro_tokens / 2)
    return math.ceil(token_batch / full)


def seconds_of_sharing(size: int, devices: int) -> float:
    """A ring passes `size` bytes to all and their sum back, by its slowest link; nothing hidden.

    >>> seconds_of_sharing(10**9, 1), round(1e3 * seconds_of_sharing(10**9, 8), 2)
    (0.0, 3.89)
    """
    bandwidth = NVLINK if devices <= IN_A_MACHINE else NETWORK
    return 2 * (devices - 1) / devices * size / bandwidth


def _muon_seconds(recipe: Recipe, machine: Machine, speed: float) -> float:
    """What Muon adds to a step: its launches, and its products, which all devices repeat."""
    if recipe.training.optimizer != "muon":
        return 0.0
    model, (short, long) = recipe.model, sorted((recipe.model.width, recipe.model.ffn_width))
    square, oblong = 6 * model.width**3, 4 * short**2 * long + 2 * short**3
    products = model.num_layers * ORTHOGONALISING * (4 * square + 2 * oblong)
    return 6 * model.num_layers * machine.muon_seconds + products / speed
