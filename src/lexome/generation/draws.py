"""Random numbers that are counted rather than kept: one for each sample and position."""

# Letters: B rows, V vocabulary.
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lexome.batches.order import mix
from lexome.seeds import derive_seed

GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # splitmix64's step from one counter to the next


def sample_key(seed: int, number: int, prompt: Sequence[int]) -> int:
    """The key of a sample's draws: its seed, its number, and the tokens that it goes on from.

    >>> first, again, other = (sample_key(1, number, [3]) for number in (1, 1, 2))
    >>> first == again, first == other
    (True, False)
    """
    return derive_seed("sample", seed, number, *prompt)


def uniforms(keys_B: Sequence[int], positions_B: Sequence[int]) -> NDArray[np.float64]:
    """A number in [0, 1) for each row, of 53 random bits: a function of key and position alone.

    Positions count the tokens after the prompt, from 0.
    """
    keys, positions = np.array(keys_B, np.uint64), np.array(positions_B, np.uint64)
    with np.errstate(over="ignore"):
        values = mix(keys + (positions + np.uint64(1)) * GOLDEN, np.uint64(0))
    return (values >> np.uint64(11)).astype(np.float64) * 2.0**-53


def pick(probabilities_BV: Tensor, uniforms_B: NDArray[np.float64]) -> Tensor:
    """The token of each row at which the summed probabilities pass the row's number (B,).

    One number a row, however large the vocabulary, and sums in float64: a token of probability
    zero is never drawn, and no other row has a part in a row's answer.
    """
    summed_BV = probabilities_BV.cumsum(-1, dtype=torch.float64)
    total_B1 = summed_BV[:, -1:]
    places_B1 = torch.from_numpy(uniforms_B).to(total_B1.device)[:, None] * total_B1
    found_B1 = torch.searchsorted(summed_BV, places_B1, right=True)
    # A product that was rounded up to the total would point behind the last possible token.
    last_B1 = torch.searchsorted(summed_BV, total_B1.contiguous())
    return torch.minimum(found_B1, last_B1)[:, 0]
