"""Long filters that a small network draws as a function of time, as HyenaDNA has them."""

# Letters: T tokens, E numbers that describe a time, W width of the network, D channels.
from functools import partial
from math import log

import torch
from torch import Tensor, nn


class ImplicitFilter(nn.Module):
    """filter(t) = network(z(t)) (exp(-t |delta|) + 0.05): sines that fade, a rate a channel.

    The network's layers end in sin(freq x), with the same trained freq in all of them. `z` and `t`
    are read from the files: they run over the longest sequence, so the filter of a short one is the
    start of it, and made anew they would differ in their last bits, which the sines enlarge. All
    stays in fp32. Source: Poli et al. 2023; HazyResearch/hyena-dna standalone_hyenadna.py.
    """

    SHIFT = 0.05
    z: Tensor
    t: Tensor
    deltas: Tensor

    def __init__(
        self, width: int, most_tokens: int, order: int, num_inputs: int = 5, num_inner: int = 2
    ) -> None:
        super().__init__()
        self.first = nn.Linear(num_inputs, order)
        self.inner = nn.ModuleList(nn.Linear(order, order) for _ in range(num_inner))
        self.last = nn.Linear(order, width, bias=False)
        self.freq = nn.Parameter(torch.full((order,), 10.0))
        # Not left to `with torch.device`: while transformers loads a model it replaces `linspace`,
        # and torch may then not know the true one for a function that makes tensors.
        linspace = partial(torch.linspace, device=self.freq.device)
        t_T = linspace(0, 1, most_tokens)
        bands = (num_inputs - 1) // 2
        waves = linspace(1e-4, bands - 1, bands) * (2 * torch.pi / most_tokens)
        angles = torch.arange(most_tokens)[:, None] * waves
        self.register_buffer("z", torch.cat([t_T[:, None], angles.cos(), -angles.sin()], dim=-1))
        self.register_buffer("t", t_T)
        # From waves that fade within 0.3 of the longest sequence to 1.5, down to a hundredth.
        slow, fast = log(0.01) / 1.5, log(0.01) / 0.3
        self.register_buffer("deltas", linspace(slow, fast, width))

    @property
    def fp32_tensors(self) -> tuple[str, ...]:
        """All of it."""
        return tuple(self.state_dict())

    def forward(self, length: int) -> Tensor:
        """The filter's first `length` values for every channel, (D, T)."""
        x_TW = torch.sin(self.freq * self.first(self.z[:length]))
        for layer in self.inner:
            x_TW = torch.sin(self.freq * layer(x_TW))
        fading_DT = torch.exp(-self.t[:length] * self.deltas.abs()[:, None])
        filter_DT: Tensor = (self.last.weight @ x_TW.T) * (fading_DT + self.SHIFT)
        return filter_DT
