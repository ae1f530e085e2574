"""The layers of T5's two stacks: the norm before each part, no mean in it, and no bias anywhere."""

# Letters: N leading shape, B rows, T new tokens of each, K tokens of a row so far, M of its source,
#          H heads, d head width, D width, W distances (relative.py).
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lexome.layers.feed_forward import FeedForward, GatedFeedForward
from lexome.layers.layout import Layout
from lexome.layers.relative import attend_by_distance, narrow_distances
from lexome.layers.unscaled_attention import CrossAttention, UnscaledAttention

GATED = "gated-"


class BlockSizes(NamedTuple):
    """What both kinds of blocks are made from."""

    width: int
    num_heads: int
    head_width: int
    ffn_width: int
    feed_forward: str  # an activation's name, behind "gated-" where it is gated
    eps: float


class Rows(NamedTuple):
    """Where the new tokens of each row stand, the same in all layers of a step."""

    lengths: Sequence[int]  # tokens of each row before this step
    sources: Sequence[int]  # tokens of each row's source
    index_B1: Tensor
    places_BT: Tensor


class T5EncoderBlock(nn.Module):
    """x + attention(norm x), then x + feed-forward(norm x)."""

    def __init__(self, sizes: BlockSizes) -> None:
        super().__init__()
        width, heads, head_width, _, _, eps = sizes
        self.attention_norm = nn.RMSNorm(width, eps=eps)
        self.attention = UnscaledAttention(width, heads, head_width)
        self.feed_forward_norm = nn.RMSNorm(width, eps=eps)
        self.feed_forward = make_t5_feed_forward(sizes)

    def forward(
        self,
        x_ND: Tensor,
        layout: Layout,
        added_HW: Tensor,
        maps: list[list[Tensor]] | None = None,
    ) -> Tensor:
        """`x_ND` after both halves; appends the attention maps to `maps` where it is given."""
        query_NHd, key_NHd, value_NHd = self.attention.project(self.attention_norm(x_ND))
        if maps is not None:
            maps.append(layout.attention_maps(query_NHd, key_NHd, added_HW=added_HW))
        context_NHd = layout.attend(query_NHd, key_NHd, value_NHd, added_HW=added_HW)
        x_ND = x_ND + self.attention.output(context_NHd.flatten(-2))
        out_ND: Tensor = x_ND + self.feed_forward(self.feed_forward_norm(x_ND))
        return out_ND


class T5DecoderBlock(nn.Module):
    """Attention over the row's own tokens, then over its source, then feed-forward."""

    def __init__(self, sizes: BlockSizes) -> None:
        super().__init__()
        width, heads, head_width, _, _, eps = sizes
        self.attention_norm = nn.RMSNorm(width, eps=eps)
        self.attention = UnscaledAttention(width, heads, head_width)
        self.cross_norm = nn.RMSNorm(width, eps=eps)
        self.cross = CrossAttention(width, heads, head_width)
        self.feed_forward_norm = nn.RMSNorm(width, eps=eps)
        self.feed_forward = make_t5_feed_forward(sizes)

    def extend(
        self, x_BTD: Tensor, kept: dict[str, Tensor], rows: Rows, added_HW: Tensor
    ) -> Tensor:
        """New tokens of every row, given what is kept of it; their keys and values join that.

        Each row is attended to by itself, over as many keys as it has: whatever other rows hold,
        and however long they are, the order in which its numbers are added up is the same.
        """
        query_BTHd, key_BTHd, value_BTHd = self.attention.project(self.attention_norm(x_BTD))
        dtype, new = kept["keys"].dtype, x_BTD.shape[1]  # fp32 on a CPU, also of bf16
        kept["keys"][rows.index_B1, rows.places_BT] = key_BTHd.to(dtype)
        kept["values"][rows.index_B1, rows.places_BT] = value_BTHd.to(dtype)
        query_BTHd = query_BTHd.to(dtype)
        longest = max(rows.lengths) + new
        own = [
            attend_by_distance(
                query_BTHd[row],
                kept["keys"][row, : length + new],
                kept["values"][row, : length + new],
                narrow_distances(added_HW, length + new, longest, new),
            )
            for row, length in enumerate(rows.lengths)
        ]
        x_BTD = x_BTD + self.attention.output(_join(own, x_BTD))
        query_BTHd = self.cross.project_target(self.cross_norm(x_BTD)).to(dtype)
        across = [
            _attend(
                query_BTHd[row],
                kept["source_keys"][row, :length],
                kept["source_values"][row, :length],
            )
            for row, length in enumerate(rows.sources)
        ]
        x_BTD = x_BTD + self.cross.output(_join(across, x_BTD))
        out_BTD: Tensor = x_BTD + self.feed_forward(self.feed_forward_norm(x_BTD))
        return out_BTD


def make_t5_feed_forward(sizes: BlockSizes) -> nn.Module:
    """Two linears, or three of which one gates another."""
    kind = sizes.feed_forward
    if kind.startswith(GATED):
        activation = kind.removeprefix(GATED)
        return GatedFeedForward(sizes.width, sizes.ffn_width, activation, down_bias=False)
    return FeedForward(sizes.width, sizes.ffn_width, kind, bias=False)


def _join(rows: Sequence[Tensor], like_BTD: Tensor) -> Tensor:
    """Rows (T, H, d) as (B, T, H x d), in the numbers that the model computes with."""
    return torch.stack(list(rows)).flatten(-2).to(like_BTD.dtype)


def _attend(query_THd: Tensor, key_MHd: Tensor, value_MHd: Tensor) -> Tensor:
    """softmax(q k^T) v, (T, H, d)."""
    return F.scaled_dot_product_attention(
        query_THd.transpose(0, 1)[None],
        key_MHd.transpose(0, 1)[None],
        value_MHd.transpose(0, 1)[None],
        scale=1.0,
    )[0].transpose(0, 1)
