"""When a fit by gradients ends: after its steps, or at the end of the time that it was given."""

import time
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from lexome.devices import cpu_has_bf16
from lexome.progress import Progress
from lexome.training.alignment_models.settings import FamilySettings

# Told of the steps done and of how to get the parameters as they are: for curves against time.
Watch = Callable[[int, Callable[[], dict[str, Tensor]]], None]


def pace(
    settings: FamilySettings, steps: int, progress: Progress, largest: float, warmup: int = 0
) -> Iterator[float]:
    """The learning rate of every step: a short rise, then linearly down to nothing at the end.

    The end is the number of steps, or `seconds` where that comes first.
    """
    steps = settings.steps or steps
    began, step, told = time.monotonic(), 0, 0.0
    while True:
        done = step / steps
        if settings.seconds is not None:
            done = max(done, (time.monotonic() - began) / settings.seconds)
        if done >= 1:
            return
        progress.advance(100 * done - told)
        told = 100 * done
        rise = min(1.0, (step + 1) / (warmup + 1))
        yield largest * rise * (1 - done)
        step += 1


def product_dtype(settings: FamilySettings) -> torch.dtype:
    """The number format of large products."""
    if settings.dtype == "auto":
        return torch.bfloat16 if cpu_has_bf16() else torch.float32
    return torch.bfloat16 if settings.dtype == "bf16" else torch.float32


def draw_rows(weights_R: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """Rows of a batch, drawn with replacement in proportion to their weights."""
    return torch.multinomial(weights_R, size, replacement=True, generator=generator)
