"""Rotary positions: pairs of q and k channels turned by position x frequency."""

# Letters: N leading shape, H heads, d head width, P = d / 2 pairs.
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn


class Turn(NamedTuple):
    """Cosine and sine of the angle of every position and pair, shaped to broadcast over heads."""

    cos_N1P: Tensor
    sin_N1P: Tensor


class Rotary(nn.Module):
    """Angles of half-split rotary embedding: channel i turns with channel i + d/2.

    `inv_freq` is a stored buffer, because ESM-2 was trained with frequencies rounded to fp16 and
    its files keep them: recomputing costs 6e-3 in the logits. Angles are computed in fp32.
    Positions are divided by `interpolation` first, where a model was stretched to more of them.
    Source: facebookresearch/esm rotary_embedding.py.
    """

    fp32_tensors: ClassVar[tuple[str, ...]] = ("inv_freq",)
    inv_freq: Tensor

    def __init__(self, head_width: int, base: float = 10000.0, interpolation: float = 1.0) -> None:
        super().__init__()
        self.interpolation = interpolation
        # Always on the CPU first: elsewhere the last digit may differ.
        even_P = torch.arange(0, head_width, 2, dtype=torch.float32, device="cpu")
        self.register_buffer("inv_freq", 1.0 / base ** (even_P / head_width))

    def forward(self, positions_N: Tensor) -> Turn:
        """The turn for each position."""
        positions_N = positions_N.float() / self.interpolation
        angles_NP = positions_N[..., None] * self.inv_freq.float()
        return Turn(angles_NP.cos()[..., None, :], angles_NP.sin()[..., None, :])


def rotate(x_NHd: Tensor, turn: Turn) -> Tensor:
    """Turn each pair (i, i + d/2) of `x_NHd`; arithmetic in fp32, result in the given dtype."""
    first, second = x_NHd.float().chunk(2, dim=-1)
    cos, sin = turn
    rotated = torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)
    return rotated.to(x_NHd.dtype)
