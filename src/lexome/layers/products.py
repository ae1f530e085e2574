"""Attention for training on a CPU, as batched matrix products one sequence at a time.

torch's flash attention for the CPU makes code anew for every length that it meets, and keeps it;
in training on proteins of all lengths that took four times as long, and gigabytes. Here lengths
are filled up to few, and short sequences keep their probabilities for the way back.
"""

# Letters: T tokens end to end, H heads, h some of them, d head width, L one sequence filled up.
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

KEPT = 512  # probabilities of a longer sequence are made again instead of kept
LONGEST = 2048  # beyond it those of a single head are too large
FILLED = 32  # lengths are filled up to multiples of so many
IN_CACHE = 3_000_000  # bytes of probabilities at once


def can_multiply(longest: int, *of_THd: Tensor) -> bool:
    """Where it pays: on a CPU, sequences not too long, and a way back to any of them asked for."""
    on_cpu, learns = of_THd[0].device.type == "cpu", any(x.requires_grad for x in of_THd)
    return on_cpu and longest <= LONGEST and learns and torch.is_grad_enabled()


def attend_products(
    query_THd: Tensor, key_THd: Tensor, value_THd: Tensor, bounds: Sequence[int]
) -> Tensor:
    """softmax(q k^T) v within each sequence; queries come already scaled. (T, H, d).

    `bounds` holds 0 and the end of every sequence.
    """
    out: Tensor = _Attend.apply(query_THd, key_THd, value_THd, bounds)  # type: ignore[no-untyped-call]
    return out


class _Attend(torch.autograd.Function):
    """One step of the way back for all sequences, so that no sequence costs a graph of its own."""

    @staticmethod
    def forward(
        ctx: Any, query_THd: Tensor, key_THd: Tensor, value_THd: Tensor, bounds: Sequence[int]
    ) -> Tensor:
        out_THd = torch.empty_like(value_THd, memory_format=torch.contiguous_format)
        kept = []
        for some in _pieces(bounds, query_THd):
            p_hLL = _weights(some, query_THd, key_THd)
            some.put(out_THd, torch.bmm(p_hLL, some.take(value_THd)))
            if some.is_kept:
                kept.append(p_hLL)
        ctx.bounds = bounds
        ctx.save_for_backward(query_THd, key_THd, value_THd, *kept)
        return out_THd

    @staticmethod
    def backward(ctx: Any, gradient_THd: Tensor) -> Any:
        query_THd, key_THd, value_THd, *saved = ctx.saved_tensors
        kept = iter(saved)
        grads = [torch.empty_like(x) for x in (query_THd, key_THd, value_THd)]
        for some in _pieces(ctx.bounds, query_THd):
            p_hLL = next(kept) if some.is_kept else _weights(some, query_THd, key_THd)
            g_hLd = some.take(gradient_THd)
            dp_hLL = torch.bmm(g_hLd, some.take(value_THd).transpose(1, 2))
            ds_hLL = torch._softmax_backward_data(dp_hLL, p_hLL, -1, p_hLL.dtype)
            some.put(grads[0], torch.bmm(ds_hLL, some.take(key_THd)))
            some.put(grads[1], torch.bmm(ds_hLL.transpose(1, 2), some.take(query_THd)))
            some.put(grads[2], torch.bmm(p_hLL.transpose(1, 2), g_hLd))
        return *grads, None


class _Piece:
    """Some heads of one sequence."""

    def __init__(self, start: int, end: int, heads: slice) -> None:
        self.rows, self.heads, self.length = slice(start, end), heads, end - start
        self.filled = filled(self.length)
        self.is_kept = self.length <= KEPT

    def take(self, x_THd: Tensor) -> Tensor:
        """(h, L, d), zeros behind the end."""
        own_hTd = x_THd[self.rows, self.heads].transpose(0, 1)
        if self.length == self.filled:
            return own_hTd.contiguous()
        out_hLd = own_hTd.new_zeros(len(own_hTd), self.filled, own_hTd.shape[-1])
        out_hLd[:, : self.length] = own_hTd
        return out_hLd

    def put(self, out_THd: Tensor, x_hLd: Tensor) -> None:
        """The way back, into its place."""
        out_THd[self.rows, self.heads] = x_hLd[:, : self.length].transpose(0, 1)


def _weights(some: _Piece, query_THd: Tensor, key_THd: Tensor) -> Tensor:
    """softmax(q k^T) of a piece, nothing on what fills it up."""
    scores_hLL = torch.bmm(some.take(query_THd), some.take(key_THd).transpose(1, 2))
    scores_hLL[..., some.length :] = -torch.inf
    return torch.softmax(scores_hLL, -1)


def filled(length: int) -> int:
    """A length filled up.

    >>> filled(1), filled(32), filled(258)
    (32, 32, 288)
    """
    return -(-length // FILLED) * FILLED


def _pieces(bounds: Sequence[int], like_THd: Tensor) -> Iterator[_Piece]:
    """Every sequence, as many heads at once as the cache holds."""
    for start, end in pairwise(bounds):
        bytes_a_head = filled(end - start) ** 2 * like_THd.element_size()
        at_once = max(IN_CACHE // bytes_a_head, 1)
        for first in range(0, like_THd.shape[1], at_once):
            yield _Piece(start, end, slice(first, first + at_once))
