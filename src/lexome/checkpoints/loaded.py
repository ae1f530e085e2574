"""What every reader of a layout hands over."""

from typing import Any, NamedTuple

from torch import nn

from lexome.checkpoints.renaming import Accounting
from lexome.tokenizers.interface import Tokenizer


class Loaded(NamedTuple):
    """A network with its weights, its tokenizer, and what became of each tensor."""

    network: Any  # an nn.Module of architectures/; they share an interface, not a class
    tokenizer: Tokenizer
    accounting: Accounting
    family: str  # of architectures/families.py
    layout: str  # of checkpoints/layouts.py
    notes: tuple[str, ...] = ()  # what a user should know of these weights


def count_parameters(network: nn.Module) -> int:
    """All trained numbers."""
    return sum(p.numel() for p in network.parameters())
