"""ALiBi: attention falls off with distance, each head at a slope of its own."""

# Letters: H heads, Q queries, K keys.
import math

import torch
from torch import Tensor


def alibi_slopes(num_heads: int) -> Tensor:
    """The slope of each head (H,), as published.

    For a power of two, 2 ** (-8 i / heads); otherwise those of the largest power of two below,
    and then every second one of the next power of two: no geometric series as a whole.
    Source: Press et al. 2022; MosaicBERT (DNABERT-2's code).

    >>> [round(float(s), 4) for s in alibi_slopes(4)]
    [0.25, 0.0625, 0.0156, 0.0039]
    >>> round(float(alibi_slopes(12)[-1]), 4)  # 2 ** -3.5
    0.0884
    """
    whole = 2 ** math.floor(math.log2(num_heads))
    slopes = [2 ** (-8 * i / whole) for i in range(1, whole + 1)]
    between = [2 ** (-8 * i / (2 * whole)) for i in range(1, 2 * whole + 1)]
    return torch.tensor([*slopes, *between[0::2][: num_heads - whole]])


def alibi_bias(slopes_H: Tensor, length: int) -> Tensor:
    """What is added to the scores (H, Q, K) of a sequence: -slope x distance, both ways."""
    place_K = torch.arange(length, device=slopes_H.device)
    distance_QK = (place_K[:, None] - place_K[None, :]).abs()
    return -slopes_H[:, None, None] * distance_QK
