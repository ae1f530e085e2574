"""Multi-head self-attention, with rotary positions where a family has them."""

# Letters: N leading shape, H heads, d head width, D width.
from torch import Tensor, nn

from lexome.layers.rotary import Turn, rotate


class Attention(nn.Module):
    """Attention(Q, K, V) = softmax(Q K^T / sqrt(d)) V, heads concatenated and projected.

    Four separate linears, called as modules, so that adapters can be put on each of them. What
    lies between `project` and `output` is the layout's: it knows what attends to what.
    """

    def __init__(self, width: int, num_heads: int, bias: bool = True) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.query = nn.Linear(width, width, bias)
        self.key = nn.Linear(width, width, bias)
        self.value = nn.Linear(width, width, bias)
        self.output = nn.Linear(width, width, bias)

    def project(self, x_ND: Tensor, turn: Turn | None) -> tuple[Tensor, Tensor, Tensor]:
        """Queries (scaled), keys (both turned, if at all) and values, each (N, H, d)."""
        heads = (*x_ND.shape[:-1], self.num_heads, -1)
        query_NHd = self.query(x_ND).view(heads)
        # The published models scale the query before the rotation.
        query_NHd = query_NHd * query_NHd.shape[-1] ** -0.5
        key_NHd, value_NHd = self.key(x_ND).view(heads), self.value(x_ND).view(heads)
        if turn is None:
            return query_NHd, key_NHd, value_NHd
        return rotate(query_NHd, turn), rotate(key_NHd, turn), value_NHd
