"""Rotary positions: pairs of q and k channels turned by position x frequency."""

# Letters: N leading shape, H heads, d head width, P turned pairs of a head: d / 2, or fewer.
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn


class Turn(NamedTuple):
    """Cosine and sine of the angle of every position and pair, shaped to broadcast over heads."""

    cos_N1P: Tensor
    sin_N1P: Tensor
    interleaved: bool = False


class Rotary(nn.Module):
    """Angles of rotary embedding: channel i turns with channel i + P, or interleaved with i + 1.

    Channels behind the first 2 P of a head are not turned: ProGen2's heads turn in part.
    `inv_freq` is a stored buffer, because ESM-2 was trained with frequencies rounded to fp16 and
    its files keep them: recomputing costs 6e-3 in the logits. Angles are computed in fp32.
    Positions are divided by `interpolation` first, where a model was stretched to more of them.
    Source: facebookresearch/esm rotary_embedding.py.
    """

    fp32_tensors: ClassVar[tuple[str, ...]] = ("inv_freq",)
    inv_freq: Tensor

    def __init__(
        self,
        turned_width: int,
        base: float = 10000.0,
        interleaved: bool = False,
        interpolation: float = 1.0,
    ) -> None:
        super().__init__()
        self.interleaved, self.interpolation = interleaved, interpolation
        # Always on the CPU first: elsewhere the last digit may differ.
        even_P = torch.arange(0, turned_width, 2, dtype=torch.float32, device="cpu")
        self.register_buffer("inv_freq", 1.0 / base ** (even_P / turned_width))

    def forward(self, positions_N: Tensor) -> Turn:
        """The turn for each position."""
        positions_N = positions_N.float() / self.interpolation
        angles_NP = positions_N[..., None] * self.inv_freq.float()
        cos_N1P, sin_N1P = angles_NP.cos()[..., None, :], angles_NP.sin()[..., None, :]
        return Turn(cos_N1P, sin_N1P, self.interleaved)


def rotate(x_NHd: Tensor, turn: Turn) -> Tensor:
    """Turn each pair of `x_NHd`; arithmetic in fp32, result in the given dtype."""
    cos, sin, interleaved = turn
    width = 2 * cos.shape[-1]
    turned = x_NHd[..., :width].float()
    if interleaved:
        first, second = turned[..., 0::2], turned[..., 1::2]
    else:
        first, second = turned.chunk(2, dim=-1)
    pair = [first * cos - second * sin, second * cos + first * sin]
    rotated = torch.stack(pair, -1).flatten(-2) if interleaved else torch.cat(pair, dim=-1)
    rotated = rotated.to(x_NHd.dtype)
    if width == x_NHd.shape[-1]:
        return rotated
    return torch.cat([rotated, x_NHd[..., width:]], dim=-1)
