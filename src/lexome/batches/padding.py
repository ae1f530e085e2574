"""Rows filled up to the longest: the slow twin of packing, and what convolutions compute on."""

# Letters: S sequences in the batch, L longest.
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lexome.layers.layout import PaddedLayout

Item = TypeVar("Item")


class Padded(NamedTuple):
    """One row a sequence, and the layout that knows where each row ends."""

    tokens_SL: Tensor
    layout: PaddedLayout


def pad(
    sequences: Sequence[Sequence[int] | NDArray[Any]],
    pad_id: int,
    device: torch.device | str = "cpu",
) -> Padded:
    """Rows of token ids, `pad_id` behind the end of each."""
    layout = PaddedLayout([len(ids) for ids in sequences], device)
    tokens_SL = torch.full(tuple(layout.real_N.shape), pad_id)
    for row, ids in zip(tokens_SL, sequences, strict=True):
        row[: len(ids)] = torch.from_numpy(np.asarray(ids, dtype=np.int64))
    return Padded(tokens_SL.to(device), layout)


def in_row_batches(items: Iterable[tuple[Item, int]], max_tokens: int) -> Iterator[list[Item]]:
    """Group (item, number of tokens) into lists whose rows, padding included, keep to the budget.

    Order is kept, and an item longer than the budget gets a batch of its own.

    >>> list(in_row_batches([("a", 1), ("b", 1), ("c", 4), ("d", 3), ("e", 9)], max_tokens=8))
    [['a', 'b'], ['c', 'd'], ['e']]
    """
    batch: list[Item] = []
    longest = 0
    for item, tokens in items:
        if batch and (len(batch) + 1) * max(longest, tokens) > max_tokens:
            yield batch
            batch, longest = [], 0
        batch.append(item)
        longest = max(longest, tokens)
    if batch:
        yield batch
