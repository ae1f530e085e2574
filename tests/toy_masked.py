"""A masked language model that one can solve on paper, in the contract of the real ones."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lexome.checkpoints.load import ModelCard
from lexome.inference.model import Model
from lexome.tokenizers.character import CharacterTokenizer


@dataclass(frozen=True)
class ToyConfig:
    context: int = 64
    vocabulary_size: int = 33
    positions: str = "rotary"
    num_layers: int = 1


class Copycat(nn.Module):
    """Where it sees a residue it gives it 0.9 and A 0.1 (an A gets 1); at a mask A 0.75, C 0.25."""

    def __init__(self) -> None:
        super().__init__()
        self.config, self.width = ToyConfig(), 33
        self.language_model_head: Any = True
        self.weight = nn.Parameter(torch.zeros(1))  # a model has some
        self.readings = 0  # sequences that went through

    def forward(self, tokens_T: Tensor, layout: Any) -> Tensor:
        self.readings += len(layout.lengths)
        return F.one_hot(tokens_T, 33).float()

    def logits(self, hidden_ND: Tensor) -> Tensor:
        codes = CharacterTokenizer().id_of
        rows = []
        for token in hidden_ND.argmax(-1).tolist():
            p = torch.full((33,), 1e-30)
            if token == codes["<mask>"]:
                p[codes["A"]], p[codes["C"]] = 0.75, 0.25
            else:
                p[codes["A"]] = 0.1
                p[token] += 0.9
            rows.append(p.log())
        return torch.stack(rows)


def copycat(context: int = 64) -> Model:
    """The toy as a loaded model."""
    card = ModelCard(
        *("copycat", "toy", "native", "protein", context, 1, "none", "here", ""),
        *("sha", "mean", {}),
    )
    return Model(Copycat(), CharacterTokenizer(), card)


LOG_3, LOG_9 = math.log(3), math.log(9)
