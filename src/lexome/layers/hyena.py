"""The mixers of Hyena: gates around a short and a long convolution, in place of attention."""

# Letters: B rows, T tokens, D width, C = 3 D channels, N leading shape.
import torch
from torch import Tensor, nn

from lexome.layers.implicit_filter import ImplicitFilter
from lexome.layers.layout import Layout, PaddedLayout
from lexome.layers.long_convolution import convolve
from lexome.layers.modal_filter import ModalFilter
from lexome.layers.short_filter import ShortFilter


class ModalMixer(nn.Module):
    """out = x2 (h * (x1 v) + skip x1 v), where x2, x1 and v are projections after a short filter.

    `num_groups` is how the 3 D channels are cut after the short filter has run over them:
    [groups][x2, x1, v][D / groups], as StripedHyena's training did by attention heads. 1 is three
    plain parts. Source: togethercomputer/stripedhyena model.py, engine.py.
    """

    def __init__(
        self, width: int, num_states: int, num_groups: int = 1, constrained: bool = False
    ) -> None:
        super().__init__()
        self.num_groups = num_groups
        self.project = nn.Linear(width, 3 * width)
        self.short_filter = ShortFilter(3 * width)
        self.long_filter = ModalFilter(width, num_states, constrained)
        self.skip = nn.Parameter(torch.zeros(width))
        self.output = nn.Linear(width, width)

    def forward(self, x_ND: Tensor, layout: Layout) -> Tensor:
        """Each sequence of a layout by itself, (N, D)."""
        projected_NC = self.project(x_ND)
        if isinstance(layout, PaddedLayout):  # what stands behind a sequence changes nothing in it
            mixed_ND = self.mix(projected_NC)[0]
        else:
            rows = [self.mix(z_TC[None])[0][0] for z_TC in layout.split(projected_NC)]
            mixed_ND = torch.cat(rows)
        out_ND: Tensor = self.output(mixed_ND)
        return out_ND

    def extend(self, x_BTD: Tensor, state: dict[str, Tensor]) -> Tensor:
        """Further tokens of every row; the rows' `fir` and `iir` are brought up to date."""
        mixed_BTD, fir, iir = self.mix(self.project(x_BTD), state["fir"], state["iir"])
        state["fir"].copy_(fir)
        state["iir"].copy_(iir)
        out_BTD: Tensor = self.output(mixed_BTD)
        return out_BTD

    def mix(
        self, projected_BTC: Tensor, fir: Tensor | None = None, iir: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Everything between the two linears (B, T, D), and both states behind the last token."""
        filtered_BTC, fir = self.short_filter(projected_BTC, fir)
        after_BTD, before_BTD, value_BTD = self.split(filtered_BTC)
        u_BTD = before_BTD * value_BTD
        if u_BTD.shape[1] == 1 and iir is not None:
            long_BD, iir = self.long_filter.step(u_BTD[:, 0].float(), iir)
            long_BTD = long_BD[:, None]
        else:
            long_DBT, iir = self.long_filter.scan(u_BTD.float().permute(2, 0, 1), iir)
            long_BTD = long_DBT.permute(1, 2, 0)
        mixed_BTD = (long_BTD.to(u_BTD.dtype) + self.skip * u_BTD) * after_BTD
        return mixed_BTD, fir, iir

    def split(self, filtered_BTC: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x2, the gate after the long filter; x1, the one before it; v."""
        grouped = filtered_BTC.view(*filtered_BTC.shape[:-1], self.num_groups, 3, -1)
        after, before, value = (part.flatten(-2) for part in grouped.unbind(-2))
        return after, before, value


class ImplicitMixer(nn.Module):
    """out = x0 (filter * (x1 v) + skip x1 v), the 3 D channels cut into x0, x1 and v.

    The gate behind the long filter comes first. Source: HazyResearch/hyena-dna.
    """

    def __init__(self, width: int, most_tokens: int, order: int, num_inputs: int, num_inner: int):
        super().__init__()
        self.project = nn.Linear(width, 3 * width)
        self.short_filter = ShortFilter(3 * width)
        self.long_filter = ImplicitFilter(width, most_tokens, order, num_inputs, num_inner)
        self.skip = nn.Parameter(torch.zeros(width))
        self.output = nn.Linear(width, width)

    def forward(self, x_ND: Tensor, layout: Layout) -> Tensor:
        """Each sequence of a layout by itself, (N, D)."""
        projected_NC = self.project(x_ND)
        filter_DT = self.long_filter(max(layout.lengths))
        if isinstance(layout, PaddedLayout):  # what stands behind a sequence changes nothing in it
            mixed_ND = self.mix(projected_NC, filter_DT)
        else:
            rows = [
                self.mix(z_TC[None], filter_DT[:, : len(z_TC)])[0]
                for z_TC in layout.split(projected_NC)
            ]
            mixed_ND = torch.cat(rows)
        out_ND: Tensor = self.output(mixed_ND)
        return out_ND

    def mix(self, projected_BTC: Tensor, filter_DT: Tensor) -> Tensor:
        """Everything between the two linears, (B, T, D)."""
        filtered_BTC, _ = self.short_filter(projected_BTC)
        after_BTD, before_BTD, value_BTD = filtered_BTC.chunk(3, dim=-1)
        u_BTD = before_BTD * value_BTD
        long_DBT = convolve(u_BTD.permute(2, 0, 1), filter_DT[:, None])
        long_BTD = long_DBT.permute(1, 2, 0) + self.skip * u_BTD
        mixed_BTD: Tensor = long_BTD.to(u_BTD.dtype) * after_BTD
        return mixed_BTD
