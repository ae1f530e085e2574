"""A network like DeepSTARR: four convolutions, each followed by max pooling of two positions.

Source: de Almeida et al. 2022, Nature Genetics 54:613. There all sequences have 249 bases, and
what the last pooling leaves is flattened. Here lengths may differ, so a pool that sees the distance
to both ends stands in its place, and norms run over channels rather than over the batch: no
sequence depends on its neighbours.
"""

# Letters: N leading shape, S sequences, L longest, D width.
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from lexome.layers.convolution import Convolution
from lexome.layers.layout import Layout, PaddedLayout
from lexome.layers.one_hot import OneHot


@dataclass(frozen=True, kw_only=True)
class DeepStarrConfig:
    """Sizes of the network."""

    widths: tuple[int, ...] = (256, 60, 60, 120)
    kernels: tuple[int, ...] = (7, 3, 5, 3)
    vocabulary_size: int = 10
    first_letter: int = 5
    num_letters: int = 4


class DeepStarr(nn.Module):
    """Token ids to one vector for every sixteen tokens."""

    def __init__(self, config: DeepStarrConfig) -> None:
        super().__init__()
        self.config = config
        self.width = config.widths[-1]
        self.letters = OneHot(config.vocabulary_size, config.first_letter, config.num_letters)
        inputs = (config.num_letters, *config.widths[:-1])
        self.convolutions = nn.ModuleList(
            Convolution(before, width, kernel)
            for before, width, kernel in zip(inputs, config.widths, config.kernels, strict=True)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(width) for width in config.widths)

    def shorten(self, tokens_N: Tensor, layout: Layout) -> tuple[Tensor, PaddedLayout]:
        """Hidden states (S, L / 16, D) in rows of their own; an odd last position stays."""
        tokens_SL, rows = layout.to_rows(tokens_N)
        x_SLD = self.letters(tokens_SL)
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            x_SLD = convolution(x_SLD * rows.real_N[..., None].to(x_SLD.dtype))
            x_SLD = F.relu(norm(x_SLD)) * rows.real_N[..., None].to(x_SLD.dtype)
            # Not below zero, so that padding never is the larger of two.
            x_SLD = F.max_pool1d(x_SLD.transpose(1, 2), 2, ceil_mode=True).transpose(1, 2)
            rows = PaddedLayout([-(-length // 2) for length in rows.lengths], x_SLD.device)
        return x_SLD * rows.real_N[..., None].to(x_SLD.dtype), rows
