"""One pre-norm transformer layer: x + attention(norm x), then x + feed-forward(norm x)."""

# Letters: N leading shape, D width, F feed-forward width.
from torch import Tensor, nn
from torch.nn import functional as F

from lexome.layers.attention import Attention
from lexome.layers.layout import Layout
from lexome.layers.rotary import Turn


class FeedForward(nn.Module):
    """Two linears with GELU between them, in its exact form x Phi(x)."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.up = nn.Linear(width, hidden)
        self.down = nn.Linear(hidden, width)

    def forward(self, x_ND: Tensor) -> Tensor:
        hidden_NF = F.gelu(self.up(x_ND))
        down: Tensor = self.down(hidden_NF)
        return down


class Block(nn.Module):
    """One layer of a pre-norm encoder."""

    def __init__(
        self, width: int, num_heads: int, ffn_width: int, eps: float, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width, eps=eps)
        self.attention = Attention(width, num_heads)
        self.feed_forward_norm = nn.LayerNorm(width, eps=eps)
        self.feed_forward = FeedForward(width, ffn_width)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x_ND: Tensor, layout: Layout, turn: Turn, maps: list[list[Tensor]] | None = None
    ) -> Tensor:
        """`x_ND` after attention and feed-forward, each added to what came in.

        Appends this layer's attention maps to `maps` where it is given.
        """
        query_NHd, key_NHd, value_NHd = self.enter(x_ND, turn)
        if maps is not None:
            maps.append(layout.attention_maps(query_NHd, key_NHd))
        return self.leave(x_ND, layout.attend(query_NHd, key_NHd, value_NHd).flatten(-2))

    def enter(self, x_ND: Tensor, turn: Turn) -> tuple[Tensor, Tensor, Tensor]:
        """What comes before tokens meet: norm, projections, rotation."""
        return self.attention.project(self.attention_norm(x_ND), turn)

    def leave(self, x_ND: Tensor, context_ND: Tensor) -> Tensor:
        """What comes after: both residual additions, and the feed-forward."""
        x_ND = x_ND + self.dropout(self.attention.output(context_ND))
        fed_ND = self.feed_forward(self.feed_forward_norm(x_ND))
        out_ND: Tensor = x_ND + self.dropout(fed_ND)
        return out_ND
