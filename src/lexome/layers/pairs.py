"""An answer about two sequences from a vector of each, in one order or in both."""

# Letters: S pairs, D width, C outputs.
from collections.abc import Callable

import torch
from torch import Tensor

# What two neighbouring vectors are: none; a sequence's each; the same, read in both orders; or
# those of one pair that went through the backbone in both orders.
PAIRINGS = ("", "towers", "symmetric", "orders")


def paired_width(width: int, pairing: str) -> int:
    """Numbers that the answer is made from."""
    return 4 * width if pairing in ("towers", "symmetric") else width


def answer_pairs(answer: Callable[[Tensor], Tensor], x_D: Tensor, pairing: str) -> Tensor:
    """Outputs (S, C) from vectors (S, D), or of pairs (2S, D): first, second, first, second ...

    A mean over both orders is the same whichever sequence comes first.
    Source of the combination: Conneau et al. 2017 (InferSent), [u, v, |u - v|, u * v].
    """
    if not pairing:
        return answer(x_D)
    one_SD, other_SD = x_D[0::2], x_D[1::2]
    if pairing == "orders":
        return (answer(one_SD) + answer(other_SD)) / 2
    if pairing == "towers":
        return answer(combine(one_SD, other_SD))
    return (answer(combine(one_SD, other_SD)) + answer(combine(other_SD, one_SD))) / 2


def combine(one_SD: Tensor, other_SD: Tensor) -> Tensor:
    """Both vectors, their absolute difference and their product, (S, 4 D)."""
    parts = [one_SD, other_SD, (one_SD - other_SD).abs(), one_SD * other_SD]
    return torch.cat(parts, dim=-1)
