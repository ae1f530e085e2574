"""The feed-forward half of a transformer layer: two linears, or gated ones."""

# Letters: N leading shape, F feed-forward width.
from collections.abc import Callable
from functools import partial

from torch import Tensor, nn
from torch.nn import functional as F

# By the names that published configs give them; "gelu" is the exact form x Phi(x).
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "gelu_new": partial(F.gelu, approximate="tanh"),
    "relu": F.relu,
    "silu": F.silu,
}


class FeedForward(nn.Module):
    """Two linears with an activation between them."""

    def __init__(
        self, width: int, hidden: int, activation: str = "gelu", bias: bool = True
    ) -> None:
        super().__init__()
        self.up = nn.Linear(width, hidden, bias=bias)
        self.down = nn.Linear(hidden, width, bias=bias)
        self.activation = activation

    def forward(self, x_ND: Tensor) -> Tensor:
        hidden_NF = ACTIVATIONS[self.activation](self.up(x_ND))
        down: Tensor = self.down(hidden_NF)
        return down


class GatedFeedForward(nn.Module):
    """activation(first half) x second half of one wide linear without bias, then the way down.

    With SiLU that of Nucleotide Transformer v2 (SwiGLU), with GELU that of DNABERT-2 (GEGLU).
    """

    def __init__(self, width: int, hidden: int, activation: str, down_bias: bool) -> None:
        super().__init__()
        self.up = nn.Linear(width, 2 * hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=down_bias)
        self.activation = activation

    def forward(self, x_ND: Tensor) -> Tensor:
        gate_NF, value_NF = self.up(x_ND).chunk(2, dim=-1)
        down: Tensor = self.down(ACTIVATIONS[self.activation](gate_NF) * value_NF)
        return down


def make_feed_forward(kind: str, width: int, hidden: int) -> nn.Module:
    """The feed-forward of a kind: an activation's name, `swiglu` or `geglu`."""
    if kind == "swiglu":
        return GatedFeedForward(width, hidden, "silu", down_bias=False)
    if kind == "geglu":
        return GatedFeedForward(width, hidden, "gelu", down_bias=True)
    return FeedForward(width, hidden, kind)
