"""Models whose answers can be worked out on paper, behind the door that real ones have."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lexome.checkpoints.load import ModelCard
from lexome.inference.model import Model
from lexome.layers.state import State, empty_state
from lexome.tokenizers.interface import Tokenizer


@dataclass(frozen=True)
class ToyConfig:
    vocabulary_size: int
    context: int = 1000
    positions: str = "rotary"
    num_layers: int = 1


class Independent(nn.Module):
    """A perfect model by BERT's recipe of residues that do not know of one another.

    Behind a mask it says p. A residue that it sees it takes to be kept, or put there at random, as
    often as the recipe does either: by Bayes' rule p(y) x (keep [y = seen] + replaced / n).
    """

    contact_head = None
    language_model_head = "there is one"

    def __init__(self, p: dict[str, float], tokenizer: Tokenizer) -> None:
        super().__init__()
        self.config, self.mask_id = ToyConfig(len(tokenizer.vocabulary)), tokenizer.mask_id
        self.anchor = nn.Parameter(torch.zeros(1))
        p_V = torch.zeros(len(tokenizer.vocabulary), dtype=torch.float64)
        for token, value in p.items():
            p_V[tokenizer.id_of[token]] = value
        self.p_V = p_V

    def forward(self, tokens_T: Tensor, layout: object) -> Tensor:
        return nn.functional.one_hot(tokens_T, self.config.vocabulary_size).double()

    def logits(self, hidden_TV: Tensor) -> Tensor:
        tokens_T = hidden_TV.argmax(-1)
        seen_TV = self.p_V * (0.1 * hidden_TV + 0.1 / 20)
        is_hidden_T1 = (tokens_T == self.mask_id)[:, None]
        return torch.where(is_hidden_T1, self.p_V, seen_TV).clamp(min=1e-30).log()


class NextBase(nn.Module):
    """A causal chain: the next letter is the last one again with `stay`, else any other alike."""

    contact_head = None
    language_model_head = "there is one"

    def __init__(self, stay: float, letters: str, tokenizer: Tokenizer) -> None:
        super().__init__()
        size = len(tokenizer.vocabulary)
        self.config = ToyConfig(size)
        self.anchor = nn.Parameter(torch.zeros(1))
        ids = [tokenizer.id_of[letter] for letter in letters]
        table_VV = torch.full((size, size), -30.0)
        table_VV[:, ids] = math.log(1 / len(ids))  # behind any other token
        for i in ids:
            table_VV[i, ids] = math.log((1 - stay) / (len(ids) - 1))
            table_VV[i, i] = math.log(stay)
        self.table_VV = table_VV

    def start(self, rows: int, capacity: int) -> State:
        return empty_state(rows, capacity, [{"keys": ((1,), torch.float32)}], "cpu")

    def extend(self, tokens_BT: Tensor, state: State) -> Tensor:
        state.lengths_B += tokens_BT.shape[1]
        assert int(state.lengths_B.max()) <= state.capacity, "a row grew beyond its room"
        return nn.functional.one_hot(tokens_BT, self.config.vocabulary_size).float()

    def forward(self, tokens_T: Tensor, layout: object) -> Tensor:
        return nn.functional.one_hot(tokens_T, self.config.vocabulary_size).float()

    def logits(self, hidden_ND: Tensor) -> Tensor:
        return self.table_VV[hidden_ND.argmax(-1)]


def toy_model(network: nn.Module, tokenizer: Tokenizer, name: str = "toy") -> Model:
    """The toy as `lexome.load` would return it."""
    alphabet = tokenizer.alphabet.name
    card = ModelCard(name, "toy", "toy", alphabet, 1000, 0, "", "", "", name, "", {})
    return Model(network, tokenizer, card, "cpu")
