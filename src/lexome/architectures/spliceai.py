"""A network like SpliceAI: residual units of dilated convolutions, one answer a base.

Source: Jaganathan et al. 2019, Cell 176:535. Its four sizes see 80, 400, 2,000 and 10,000 bases.
Norms run over channels here, over the batch there: no sequence depends on its neighbours.
"""

# Letters: N leading shape, S sequences, L longest, D width.
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from lexome.layers.convolution import Convolution
from lexome.layers.layout import Layout
from lexome.layers.one_hot import OneHot

UNITS_A_GROUP = 4


@dataclass(frozen=True, kw_only=True)
class SpliceAiConfig:
    """Sizes of the network; each group has four residual units, and is added to the output."""

    width: int = 32
    kernels: tuple[int, ...] = (11, 11)
    dilations: tuple[int, ...] = (1, 4)
    vocabulary_size: int = 10
    first_letter: int = 5
    num_letters: int = 4


class ResidualUnit(nn.Module):
    """x + convolution(ReLU(norm(convolution(ReLU(norm x))))), zero at padding."""

    def __init__(self, width: int, kernel: int, dilation: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.convolutions = nn.ModuleList(
            Convolution(width, width, kernel, dilation) for _ in range(2)
        )

    def forward(self, x_SLD: Tensor, real_SL1: Tensor) -> Tensor:
        change_SLD = x_SLD
        for norm, convolution in zip(self.norms, self.convolutions, strict=True):
            change_SLD = convolution(F.relu(norm(change_SLD)) * real_SL1)
        out_SLD: Tensor = x_SLD + change_SLD * real_SL1
        return out_SLD


class SpliceAi(nn.Module):
    """Token ids to one vector a token: the sum of what leaves each group of units."""

    def __init__(self, config: SpliceAiConfig) -> None:
        super().__init__()
        self.config = config
        self.width = width = config.width
        self.letters = OneHot(config.vocabulary_size, config.first_letter, config.num_letters)
        self.first = Convolution(config.num_letters, width, 1)
        self.skips = nn.ModuleList(
            Convolution(width, width, 1) for _ in range(len(config.kernels) + 1)
        )
        self.groups = nn.ModuleList(
            nn.ModuleList(ResidualUnit(width, kernel, dilation) for _ in range(UNITS_A_GROUP))
            for kernel, dilation in zip(config.kernels, config.dilations, strict=True)
        )

    def forward(self, tokens_N: Tensor, layout: Layout) -> Tensor:
        """Hidden states (N, D)."""
        tokens_SL, rows = layout.to_rows(tokens_N)
        x_SLD = self.first(self.letters(tokens_SL))
        real_SL1 = rows.real_N[..., None].to(x_SLD.dtype)
        out_SLD = self.skips[0](x_SLD * real_SL1)
        for group, skip in zip(self.groups, list(self.skips)[1:], strict=True):
            assert isinstance(group, nn.ModuleList)
            for unit in group:
                x_SLD = unit(x_SLD, real_SL1)
            out_SLD = out_SLD + skip(x_SLD)
        return layout.from_rows(out_SLD * real_SL1)
