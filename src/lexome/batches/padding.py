"""Rows filled up to the longest: the slow twin of packing, kept to check it."""

# Letters: S sequences in the batch, L longest.
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lexome.layers.layout import PaddedLayout


class Padded(NamedTuple):
    """One row a sequence, and the layout that knows where each row ends."""

    tokens_SL: Tensor
    layout: PaddedLayout


def pad(
    sequences: Sequence[Sequence[int] | NDArray[np.uint8]],
    pad_id: int,
    device: torch.device | str = "cpu",
) -> Padded:
    """Rows of token ids, `pad_id` behind the end of each."""
    layout = PaddedLayout([len(ids) for ids in sequences], device)
    tokens_SL = torch.full(tuple(layout.real_N.shape), pad_id)
    for row, ids in zip(tokens_SL, sequences, strict=True):
        row[: len(ids)] = torch.from_numpy(np.asarray(ids, dtype=np.int64))
    return Padded(tokens_SL.to(device), layout)
