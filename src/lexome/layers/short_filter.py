"""A causal filter of three taps on every channel by itself."""

# Letters: B rows, T tokens, C channels.
import torch
from torch import Tensor, nn

TAPS = 3


class ShortFilter(nn.Module):
    """out[t] = w0 x[t-2] + w1 x[t-1] + w2 x[t] + bias, with zeros before the first token.

    What it remembers of a row are its last two inputs (B, C, 2), oldest first. A row of one token
    has a zero there: the reference keeps one input of such a row and mistakes it for both.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels, 1, TAPS))
        self.bias = nn.Parameter(torch.zeros(channels))
        nn.init.uniform_(self.weight, -(TAPS**-0.5), TAPS**-0.5)

    def forward(self, x_BTC: Tensor, past_BC2: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The filtered rows (B, T, C), and what the next tokens need of these (B, C, 2)."""
        rows, _, channels = x_BTC.shape
        if past_BC2 is None:
            past_BC2 = x_BTC.new_zeros(rows, channels, TAPS - 1)
        known_BTC = torch.cat([past_BC2.transpose(1, 2).to(x_BTC.dtype), x_BTC], dim=1)
        first_C, second_C, third_C = self.weight[:, 0].unbind(-1)
        out_BTC = first_C * known_BTC[:, :-2] + second_C * known_BTC[:, 1:-1]
        out_BTC = out_BTC + third_C * x_BTC + self.bias
        return out_BTC, known_BTC[:, 1 - TAPS :].transpose(1, 2)
