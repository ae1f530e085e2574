"""Causal convolution with filters as long as the sequence, by FFT."""

# Letters: D channels, T tokens, F frequencies; other axes may stand between.
import torch
from torch import Tensor

MOST_NUMBERS = 1 << 22  # of one group of channels, both of its sequences padded


def convolve(u_DT: Tensor, filter_DT: Tensor) -> Tensor:
    """y[t] = sum_i filter[i] u[t - i] along the last axis, in fp32; channels come first.

    Real transforms of at least twice the length, so nothing wraps around; a group of channels at a
    time, so that memory stays bounded. The size is a product of 2, 3 and 5 (`fft_size`).
    """
    tokens = u_DT.shape[-1]
    size = fft_size(2 * tokens - 1)
    group = max(1, MOST_NUMBERS // (size * max(1, u_DT[0].numel() // tokens)))
    out = [
        torch.fft.irfft(
            torch.fft.rfft(u.float(), n=size) * torch.fft.rfft(f.float(), n=size), n=size
        )[..., :tokens]
        for u, f in zip(torch.split(u_DT, group), torch.split(filter_DT, group), strict=True)
    ]
    return out[0] if len(out) == 1 else torch.cat(out)


def fft_size(least: int) -> int:
    """The smallest even product of 2, 3 and 5 that is not below `least`.

    >>> fft_size(2), fft_size(7), fft_size(11)
    (2, 8, 12)
    """
    best = 1 << max(1, (least - 1).bit_length())
    five = 1
    while five < best:
        three = five
        while three < best:
            twos = max(1, (-(-least // three) - 1).bit_length())
            best = min(best, three << twos)
            three *= 3
        five *= 5
    return best
