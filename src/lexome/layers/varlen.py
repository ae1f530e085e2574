"""Attention over sequences that lie end to end, in one GPU kernel: torch's varlen flash."""

# Letters: T tokens, H heads, d head width, S sequences.
import inspect
from functools import cache
from typing import Any

import torch
from torch import Tensor

WIDEST_HEAD = 256  # of the kernel; a head is a multiple of 8 wide


@cache
def has_varlen() -> bool:
    """Whether this torch has the kernel (2.10 or later); `can_varlen` also asks the GPU."""
    try:
        from torch.nn.attention import varlen
    except ImportError:
        return False
    return hasattr(varlen, "varlen_attn")


def can_varlen(query_THd: Tensor) -> bool:
    """Half precision on a CUDA device from Ampere on, heads of a width that the kernel knows."""
    if not query_THd.is_cuda or query_THd.dtype not in (torch.bfloat16, torch.float16):
        return False
    width = query_THd.shape[-1]
    fits = width % 8 == 0 and width <= WIDEST_HEAD
    return fits and has_varlen() and torch.cuda.get_device_capability(query_THd.device) >= (8, 0)


def attend_varlen(
    query_THd: Tensor, key_THd: Tensor, value_THd: Tensor, bounds_S1: Tensor, longest: int
) -> Tensor:
    """softmax(q k^T) v within each sequence; queries come already scaled. (T, H, d).

    `bounds_S1` holds 0 and the end of every sequence, int32, on the device.
    """
    from torch.nn.attention.varlen import varlen_attn

    query_THd, key_THd, value_THd = (x.contiguous() for x in (query_THd, key_THd, value_THd))
    scale: dict[str, Any] = {"scale": 1.0} if _takes_scale() else {}
    if not scale:  # the first releases always divide by sqrt(d)
        query_THd = query_THd * query_THd.shape[-1] ** 0.5
    out = varlen_attn(
        query_THd, key_THd, value_THd, bounds_S1, bounds_S1, longest, longest, **scale
    )
    assert isinstance(out, Tensor)
    return out


@cache
def _takes_scale() -> bool:
    from torch.nn.attention.varlen import varlen_attn

    return "scale" in inspect.signature(varlen_attn).parameters
