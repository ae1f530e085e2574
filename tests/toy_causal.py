"""Causal networks so small that every probability can be worked out, in the contract of the real."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lexome.layers.state import State, empty_state


@dataclass(frozen=True)
class ToyConfig:
    context: int = 64
    vocabulary_size: int = 8
    positions: str = "learned"


class Chain(nn.Module):
    """A Markov chain: the next token depends on the last one alone, by a table of logits."""

    def __init__(self, vocabulary_size: int = 8, seed: int = 0, context: int = 64) -> None:
        super().__init__()
        self.config = ToyConfig(context, vocabulary_size)
        self.width = vocabulary_size
        generator = torch.Generator().manual_seed(seed)
        self.table_VV = torch.randn(vocabulary_size, vocabulary_size, generator=generator) * 1.5

    def start(self, rows: int, capacity: int) -> State:
        return empty_state(rows, capacity, [{"keys": ((1,), torch.float32)}], "cpu")

    def extend(self, tokens_BT: Tensor, state: State) -> Tensor:
        state.lengths_B += tokens_BT.shape[1]
        assert int(state.lengths_B.max()) <= state.capacity, "a row grew beyond its room"
        return F.one_hot(tokens_BT, self.config.vocabulary_size).float()

    def forward(self, tokens_N: Tensor, layout: object) -> Tensor:
        return F.one_hot(tokens_N, self.config.vocabulary_size).float()

    def logits(self, hidden_ND: Tensor) -> Tensor:
        return self.table_VV[hidden_ND.argmax(-1)]


class Counter(nn.Module):
    """Attention of one head over all tokens seen: a state whose mistakes show in the answers."""

    def __init__(self, vocabulary_size: int = 8, seed: int = 0, context: int = 64) -> None:
        super().__init__()
        self.config, self.width = ToyConfig(context, vocabulary_size), 4
        generator = torch.Generator().manual_seed(seed)
        self.tokens_VD = torch.randn(vocabulary_size, 4, generator=generator)
        self.places_CD = torch.randn(context, 4, generator=generator)
        self.head_VD = torch.randn(vocabulary_size, 4, generator=generator) * 2

    def start(self, rows: int, capacity: int) -> State:
        return empty_state(rows, capacity, [{"keys": ((4,), torch.float32)}], "cpu")

    def extend(self, tokens_BT: Tensor, state: State) -> Tensor:
        out = []
        for row, tokens_T in enumerate(tokens_BT):
            start = int(state.lengths_B[row])
            end = start + len(tokens_T)
            keys_TD = self.tokens_VD[tokens_T] + self.places_CD[start:end]
            state.layers[0]["keys"][row, start:end] = keys_TD
            all_KD = state.layers[0]["keys"][row, :end]
            weights_TK = keys_TD @ all_KD.T
            places = torch.arange(end)
            weights_TK = weights_TK.masked_fill(
                places[None] > torch.arange(start, end)[:, None], float("-inf")
            )
            out.append(weights_TK.softmax(-1) @ all_KD)
        state.lengths_B += tokens_BT.shape[1]
        return torch.stack(out)

    def logits(self, hidden_ND: Tensor) -> Tensor:
        return hidden_ND @ self.head_VD.T


def exact_next(chain: Chain, last: int) -> np.ndarray:
    """The chain's probabilities after a token."""
    return chain.table_VV[last].double().softmax(-1).numpy()
