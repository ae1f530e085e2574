"""Convolutions along a sequence, and the residual block that stacks them."""

# Letters: S sequences, L longest, D width.
import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lexome.layers.ends import NUM_ENDS, distance_to_ends
from lexome.layers.layout import Layout


class Convolution(nn.Module):
    """Same-length convolution over (S, L, D).

    Runs as a height-1 conv2d whose weight is stored channels-last: on a CPU in bf16 about twice as
    fast as nn.Conv1d or as a sum of shifted linears.
    """

    def __init__(self, width_in: int, width_out: int, kernel: int, dilation: int = 1) -> None:
        super().__init__()
        self.dilation, self.padding = dilation, dilation * (kernel // 2)
        weight = torch.empty(width_out, width_in, 1, kernel)
        nn.init.kaiming_normal_(weight, nonlinearity="linear")
        self.weight = nn.Parameter(weight.contiguous(memory_format=torch.channels_last))
        self.bias = nn.Parameter(torch.zeros(width_out))

    def forward(self, x_SLD: Tensor) -> Tensor:
        x_SD1L = x_SLD.transpose(1, 2).unsqueeze(2)
        out_SD1L = F.conv2d(
            x_SD1L,
            self.weight,
            self.bias,
            padding=(0, self.padding),
            dilation=(1, self.dilation),
        )
        return out_SD1L.squeeze(2).transpose(1, 2)


class ConvolutionBlock(nn.Module):
    """x + dropout(linear(SiLU(dilated convolution(norm x)))), zero at padding."""

    def __init__(self, width: int, kernel: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.convolution = Convolution(width, width, kernel, dilation)
        self.output = nn.Linear(width, width)
        self.dropout = dropout
        nn.init.normal_(self.output.weight, std=0.5 / math.sqrt(width))
        nn.init.zeros_(self.output.bias)

    def forward(self, x_SLD: Tensor, real_SL1: Tensor) -> Tensor:
        """`real_SL1` is 1 at tokens and 0 at padding, so that padding never reaches a token."""
        change_SLD = self.output(F.silu(self.convolution(self.norm(x_SLD) * real_SL1)))
        if self.training and self.dropout:
            # Whole channels of one sequence: strong, and nearly free to draw.
            shape = (len(x_SLD), 1, x_SLD.shape[-1])
            kept_S1D = torch.rand(shape, device=x_SLD.device) >= self.dropout
            change_SLD = change_SLD * (kept_S1D.to(change_SLD.dtype) / (1 - self.dropout))
        out_SLD: Tensor = x_SLD + change_SLD * real_SL1
        return out_SLD


class ConvolutionHead(nn.Module):
    """One vector a token to a narrower one that has seen its neighbours and both ends.

    A linear, then residual blocks of which each looks twice as far as the one before.
    """

    def __init__(self, width_in: int, width: int, num_blocks: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.narrow = nn.Linear(width_in, width)
        self.place = nn.Linear(NUM_ENDS, width)
        self.blocks = nn.ModuleList(
            ConvolutionBlock(width, 7, 2**number, dropout) for number in range(num_blocks)
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, x_ND: Tensor, layout: Layout) -> Tensor:
        """(N, D in) -> (N, D)."""
        x_SLD, rows = layout.to_rows(self.narrow(x_ND))
        real_SL1 = rows.real_N[..., None].to(x_SLD.dtype)
        x_SLD = (x_SLD + self.place(distance_to_ends(rows)).to(x_SLD.dtype)) * real_SL1
        for block in self.blocks:
            x_SLD = block(x_SLD, real_SL1)
        return layout.from_rows(self.norm(x_SLD) * real_SL1)
