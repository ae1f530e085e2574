"""Transformer layers: the norm before each half, or behind it."""

# Letters: N leading shape, T tokens packed, R rows asked for, H heads, D width.
from collections.abc import Sequence

from torch import Tensor, nn

from lexome.layers.attention import Attention
from lexome.layers.feed_forward import make_feed_forward
from lexome.layers.layout import Layout, PackedLayout
from lexome.layers.rotary import Turn


class Block(nn.Module):
    """One layer of a pre-norm encoder: x + attention(norm x), then x + feed-forward(norm x)."""

    def __init__(
        self,
        width: int,
        num_heads: int,
        ffn_width: int,
        eps: float,
        dropout: float = 0.0,
        feed_forward: str = "gelu",
    ) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width, eps=eps)
        self.attention = Attention(width, num_heads)
        self.feed_forward_norm = nn.LayerNorm(width, eps=eps)
        self.feed_forward = make_feed_forward(feed_forward, width, ffn_width)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        x_ND: Tensor,
        layout: Layout,
        turn: Turn | None,
        maps: list[list[Tensor]] | None = None,
    ) -> Tensor:
        """`x_ND` after attention and feed-forward, each added to what came in.

        Appends this layer's attention maps to `maps` where it is given.
        """
        query_NHd, key_NHd, value_NHd = self.enter(x_ND, turn)
        if maps is not None:
            maps.append(layout.attention_maps(query_NHd, key_NHd))
        return self.leave(x_ND, layout.attend(query_NHd, key_NHd, value_NHd).flatten(-2))

    def read_some(
        self,
        x_TD: Tensor,
        layout: PackedLayout,
        turn: Turn | None,
        rows_R: Tensor,
        counts: Sequence[int],
    ) -> Tensor:
        """The same at some rows alone, `counts` of each sequence; all others are only seen."""
        query_THd, key_THd, value_THd = self.enter(x_TD, turn)
        context_RHd = layout.attend_some(query_THd[rows_R], key_THd, value_THd, counts)
        return self.leave(x_TD[rows_R], context_RHd.flatten(-2))

    def enter(self, x_ND: Tensor, turn: Turn | None) -> tuple[Tensor, Tensor, Tensor]:
        """What comes before tokens meet: norm, projections, rotation."""
        return self.attention.project(self.attention_norm(x_ND), turn)

    def leave(self, x_ND: Tensor, context_ND: Tensor) -> Tensor:
        """What comes after: both residual additions, and the feed-forward."""
        x_ND = x_ND + self.dropout(self.attention.output(context_ND))
        fed_ND = self.feed_forward(self.feed_forward_norm(x_ND))
        out_ND: Tensor = x_ND + self.dropout(fed_ND)
        return out_ND


class PostNormBlock(nn.Module):
    """One layer of BERT: norm(x + attention(x)), then norm(x + feed-forward(x))."""

    def __init__(
        self, width: int, num_heads: int, ffn_width: int, eps: float, feed_forward: str = "gelu"
    ) -> None:
        super().__init__()
        self.attention = Attention(width, num_heads)
        self.attention_norm = nn.LayerNorm(width, eps=eps)
        self.feed_forward = make_feed_forward(feed_forward, width, ffn_width)
        self.feed_forward_norm = nn.LayerNorm(width, eps=eps)

    def forward(
        self,
        x_ND: Tensor,
        layout: Layout,
        slopes_H: Tensor | None = None,
        maps: list[list[Tensor]] | None = None,
    ) -> Tensor:
        """`x_ND` after both halves; `slopes_H` are ALiBi's, where the family has it."""
        query_NHd, key_NHd, value_NHd = self.attention.project(x_ND, None)
        if maps is not None:
            maps.append(layout.attention_maps(query_NHd, key_NHd, slopes_H))
        context_NHd = layout.attend(query_NHd, key_NHd, value_NHd, slopes_H)
        x_ND = self.attention_norm(x_ND + self.attention.output(context_NHd.flatten(-2)))
        out_ND: Tensor = self.feed_forward_norm(x_ND + self.feed_forward(x_ND))
        return out_ND


class DecoderBlock(nn.Module):
    """x + attention(norm x), then x + feed-forward(norm x); in parallel, both of one norm."""

    def __init__(
        self,
        width: int,
        num_heads: int,
        ffn_width: int,
        eps: float,
        dropout: float = 0.0,
        feed_forward: str = "gelu_new",
        parallel: bool = False,
        attention_bias: bool = True,
    ) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width, eps=eps)
        self.attention = Attention(width, num_heads, attention_bias)
        self.feed_forward_norm = None if parallel else nn.LayerNorm(width, eps=eps)
        self.feed_forward = make_feed_forward(feed_forward, width, ffn_width)
        self.dropout = nn.Dropout(dropout)

    def enter(self, x_ND: Tensor, turn: Turn | None) -> tuple[Tensor, ...]:
        """What comes before tokens meet: the norm, and queries, keys and values of it."""
        normed_ND = self.attention_norm(x_ND)
        return normed_ND, *self.attention.project(normed_ND, turn)

    def leave(self, x_ND: Tensor, normed_ND: Tensor, context_ND: Tensor) -> Tensor:
        """What comes after: residual additions and the feed-forward."""
        attended_ND = self.dropout(self.attention.output(context_ND))
        if self.feed_forward_norm is None:
            fed_ND = self.dropout(self.feed_forward(normed_ND))
            out_ND: Tensor = x_ND + (attended_ND + fed_ND)
            return out_ND
        x_ND = x_ND + attended_ND
        out_ND = x_ND + self.dropout(self.feed_forward(self.feed_forward_norm(x_ND)))
        return out_ND

    def forward(
        self,
        x_ND: Tensor,
        layout: Layout,
        turn: Turn | None,
        maps: list[list[Tensor]] | None = None,
    ) -> Tensor:
        """Whole sequences; appends this layer's attention maps to `maps` where it is given."""
        normed_ND, query, key, value = self.enter(x_ND, turn)
        if maps is not None:
            maps.append(layout.attention_maps(query, key, causal=True))
        context = layout.attend(query, key, value, causal=True).flatten(-2)
        return self.leave(x_ND, normed_ND, context)


# What is compiled, sharded and stepped by Muon as one.
BLOCKS = (Block, DecoderBlock)
