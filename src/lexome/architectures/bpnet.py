"""BPNet's trunk: one wide convolution, then dilated ones, each added to what came before.

Source: Avsec et al. 2021, Nature Genetics 53:354; with 64 and 1,024 channels the supervised
baselines (121 thousand and 28 million parameters) of Dalla-Torre et al. 2024, Nature Methods. The
published 121 thousand count the heads of profiles and counts (3,332 of them), for which a head of
classes stands here.
"""

# Letters: N leading shape, S sequences, L longest, D width.
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from lexome.layers.convolution import Convolution
from lexome.layers.layout import Layout
from lexome.layers.one_hot import OneHot


@dataclass(frozen=True, kw_only=True)
class BpnetConfig:
    """Sizes of the network."""

    width: int = 64
    first_kernel: int = 25
    kernel: int = 3
    num_dilated: int = 9  # dilations 2, 4, ..., 512: 1,047 bases to either side are seen
    vocabulary_size: int = 10
    first_letter: int = 5
    num_letters: int = 4


class Bpnet(nn.Module):
    """Token ids to one vector a token; no norm, as published."""

    def __init__(self, config: BpnetConfig) -> None:
        super().__init__()
        self.config = config
        self.width = config.width
        self.letters = OneHot(config.vocabulary_size, config.first_letter, config.num_letters)
        self.first = Convolution(config.num_letters, config.width, config.first_kernel)
        self.dilated = nn.ModuleList(
            Convolution(config.width, config.width, config.kernel, 2**number)
            for number in range(1, config.num_dilated + 1)
        )

    def forward(self, tokens_N: Tensor, layout: Layout) -> Tensor:
        """Hidden states (N, D)."""
        tokens_SL, rows = layout.to_rows(tokens_N)
        real_SL1 = rows.real_N[..., None]
        x_SLD = F.relu(self.first(self.letters(tokens_SL) * real_SL1))
        for convolution in self.dilated:
            x_SLD = x_SLD * real_SL1.to(x_SLD.dtype)  # what lies behind the end is not seen
            x_SLD = x_SLD + F.relu(convolution(x_SLD))
        return layout.from_rows(x_SLD * real_SL1.to(x_SLD.dtype))
