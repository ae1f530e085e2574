"""Attention of T5: no bias, no scale, heads of any width; over itself, and over a source."""

# Letters: N leading shape, H heads, d head width, D width, U = H x d.
from torch import Tensor, nn


class UnscaledAttention(nn.Module):
    """Attention(Q, K, V) = softmax(Q K^T + what is added by distance) V.

    The scale 1 / sqrt(d) is not there: training began with smaller queries instead.
    Source: Raffel et al. 2020; transformers modeling_t5.py.
    """

    def __init__(self, width: int, num_heads: int, head_width: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        inner = num_heads * head_width
        self.query = nn.Linear(width, inner, bias=False)
        self.key = nn.Linear(width, inner, bias=False)
        self.value = nn.Linear(width, inner, bias=False)
        self.output = nn.Linear(inner, width, bias=False)

    def project(self, x_ND: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, each (N, H, d)."""
        heads = (*x_ND.shape[:-1], self.num_heads, -1)
        query_NU, key_NU, value_NU = self.query(x_ND), self.key(x_ND), self.value(x_ND)
        return query_NU.view(heads), key_NU.view(heads), value_NU.view(heads)


class CrossAttention(nn.Module):
    """The same with queries of a target and keys and values of a source; nothing is added."""

    def __init__(self, width: int, num_heads: int, head_width: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        inner = num_heads * head_width
        self.query = nn.Linear(width, inner, bias=False)
        self.key = nn.Linear(width, inner, bias=False)
        self.value = nn.Linear(width, inner, bias=False)
        self.output = nn.Linear(inner, width, bias=False)

    def project_target(self, x_ND: Tensor) -> Tensor:
        """Queries (N, H, d)."""
        query_NU: Tensor = self.query(x_ND)
        return query_NU.view(*x_ND.shape[:-1], self.num_heads, -1)

    def project_source(self, source_ND: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values, each (N, H, d)."""
        heads = (*source_ND.shape[:-1], self.num_heads, -1)
        return self.key(source_ND).view(heads), self.value(source_ND).view(heads)
