"""Encoder-decoders as causal models: what they are given first is the source, then they go on."""

# Letters: B rows, T tokens, D width.
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from lexome.batches.packing import pack
from lexome.errors import InputError
from lexome.inference.causal import check_causal
from lexome.layers.state import State


def has_source(network: Any) -> bool:
    """Whether a network goes on beside a source that an encoder has read."""
    return hasattr(network, "start_from") and network.decoder is not None


def as_causal(network: Any, name: str, longest: int) -> Any:
    """A network that goes on: itself, or an encoder-decoder in the same form.

    Args:
        longest: tokens of the longest source.

    Raises:
        InputError: an encoder.
    """
    if has_source(network):
        return SourceFirst(network, longest)
    if hasattr(network, "start_from"):
        raise InputError(
            f"model {name}", "weights of an encoder alone", "those of its decoder too", "another"
        )
    check_causal(network, name, "sequences that go on")
    return network


def start_beside(network: Any, source: Sequence[int], capacity: int) -> State:
    """The empty state of one row beside a source, which the encoder reads."""
    tokens_T, layout = pack([source], network.embedding.weight.device)
    state: State = network.start_from(network.encode(tokens_T, layout), layout, capacity)
    return state


class SourceFirst:
    """`extend` on empty rows reads their source; the hidden state is the decoder's first.

    Each source is read by itself, so that rows know nothing of each other.
    """

    def __init__(self, network: Any, longest: int) -> None:
        self.network, self.longest, self.config = network, longest, network.config

    def start(self, rows: int, capacity: int) -> State:
        """Rows without a source, with room for one each."""
        state: State = self.network.start(rows, capacity, self.longest)
        return state

    def extend(self, tokens_BT: Tensor, state: State) -> Tensor:
        """Hidden states (B, T, D); of a source (B, 1, D), of the token that begins an answer."""
        sources_B = state.layers[0]["source_lengths"]
        if bool((sources_B == 0).all()):
            return self._read_sources(tokens_BT, state)
        sources_B.clamp_(min=1)  # a row that never was at work has none, and is not looked at
        hidden_BTD: Tensor = self.network.extend(tokens_BT, state)
        return hidden_BTD

    def logits(self, hidden_ND: Tensor) -> Tensor:
        """Scores of every token."""
        scores: Tensor = self.network.logits(hidden_ND)
        return scores

    def _read_sources(self, tokens_BT: Tensor, state: State) -> Tensor:
        for row, ids_T in enumerate(tokens_BT.tolist()):
            tokens_T, layout = pack([ids_T], state.lengths_B.device)
            source_TD = self.network.encode(tokens_T, layout)
            state.put(row, self.network.start_from(source_TD, layout, 1, self.longest))
        first_B1 = torch.full_like(tokens_BT[:, :1], self.config.start_id)
        hidden_B1D: Tensor = self.network.extend(first_B1, state)
        return hidden_B1D
