"""Lays token sequences end to end, in batches that are bounded in tokens."""

# Letters: S sequences in the batch, T tokens over all of them.
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lexome.layers.layout import PackedLayout

Item = TypeVar("Item")


class Packed(NamedTuple):
    """Tokens end to end, and the layout that knows their borders."""

    tokens_T: Tensor
    layout: PackedLayout


def pack(
    sequences: Sequence[Sequence[int] | NDArray[Any]], device: torch.device | str = "cpu"
) -> Packed:
    """Join token sequences without padding, keeping the borders between them."""
    if not sequences:
        raise ValueError("pack needs at least one sequence, got none")
    tokens_T = np.concatenate([np.asarray(ids, dtype=np.int64) for ids in sequences])
    layout = PackedLayout([len(ids) for ids in sequences], device)
    return Packed(torch.from_numpy(tokens_T).to(device), layout)


def in_batches(items: Iterable[tuple[Item, int]], max_tokens: int) -> Iterator[list[Item]]:
    """Group (item, number of tokens) into lists of at most `max_tokens`, keeping the order.

    An item longer than the budget gets a batch of its own: nothing is cut or left out.

    >>> list(in_batches([("a", 3), ("b", 3), ("c", 9), ("d", 1)], max_tokens=6))
    [['a', 'b'], ['c'], ['d']]
    """
    batch: list[Item] = []
    total = 0
    for item, tokens in items:
        if batch and total + tokens > max_tokens:
            yield batch
            batch, total = [], 0
        batch.append(item)
        total += tokens
    if batch:
        yield batch
