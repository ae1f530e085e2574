"""The learning rate as a function of the step."""

import math


def warmup_cosine(step: int, steps: int, warmup: float, final: float) -> float:
    """The share of the peak rate at `step` (from 0): linear warm-up, then a cosine to `final`.

    >>> [round(warmup_cosine(s, 10, 2, 0.1), 3) for s in (0, 1, 2, 6, 10)]
    [0.5, 1.0, 1.0, 0.55, 0.1]
    """
    if step < warmup:
        return min((step + 1) / warmup, 1.0)
    done = min((step - warmup) / max(steps - warmup, 1), 1.0)
    return final + (1 - final) * 0.5 * (1 + math.cos(math.pi * done))
