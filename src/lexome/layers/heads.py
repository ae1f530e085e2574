"""What stands on top of a model: token probabilities, contacts, an answer a sequence."""

# Letters: N leading shape, S sequences, D width, V vocabulary, C outputs, M = layers x heads maps,
#          T tokens of one sequence, L residues of one sequence.
from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lexome.layers.layout import Layout

Pooling = Literal["mean", "mean_max", "attention"]
POOLINGS: tuple[str, ...] = get_args(Pooling)


class LanguageModelHead(nn.Module):
    """Scores of every token at every position: dense, GELU, norm, then the tied embedding."""

    def __init__(self, width: int, vocabulary_size: int, eps: float) -> None:
        super().__init__()
        self.dense = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width, eps=eps)
        self.bias = nn.Parameter(torch.zeros(vocabulary_size))

    def forward(self, x_ND: Tensor, embedding_VD: Tensor) -> Tensor:
        """Logits (N, V) before the softmax."""
        return F.linear(self.norm(F.gelu(self.dense(x_ND))), embedding_VD, self.bias)


class ContactHead(nn.Module):
    """Probability that two residues touch, from all attention maps by logistic regression.

    Source: Rao et al. 2021, "Transformer protein language models are unsupervised structure
    learners"; facebookresearch/esm modules.py (ContactPredictionHead).
    """

    def __init__(self, num_maps: int) -> None:
        super().__init__()
        self.regression = nn.Linear(num_maps, 1)

    def forward(self, maps_MTT: Tensor, tokens_T: Tensor, eos_id: int) -> Tensor:
        """(L, L) for one sequence; maps run layer by layer, head by head within a layer."""
        real_T = (tokens_T != eos_id).to(maps_MTT.dtype)
        maps_MTT = maps_MTT * real_T[:, None] * real_T[None, :]
        maps_MLL = maps_MTT[:, 1:-1, 1:-1]  # without <cls> and <eos>
        symmetric_MLL = maps_MLL + maps_MLL.transpose(-1, -2)
        corrected_MLL = remove_average_product(symmetric_MLL)
        logits_LL = self.regression(corrected_MLL.permute(1, 2, 0)).squeeze(-1)
        return torch.sigmoid(logits_LL)


def remove_average_product(maps_MLL: Tensor) -> Tensor:
    """Average product correction: each entry less (row sum x column sum) / total, map by map."""
    rows_ML1 = maps_MLL.sum(-1, keepdim=True)
    columns_M1L = maps_MLL.sum(-2, keepdim=True)
    totals_M11 = maps_MLL.sum((-1, -2), keepdim=True)
    return maps_MLL - rows_ML1 * columns_M1L / totals_M11


class SequencePool(nn.Module):
    """One vector a sequence from one vector a token. Special tokens count as tokens."""

    def __init__(self, pooling: Pooling, width: int) -> None:
        super().__init__()
        if pooling not in POOLINGS:
            raise ValueError(f"no pooling is called {pooling!r}; there are {POOLINGS}")
        self.pooling = pooling
        self.width = width * (2 if pooling == "mean_max" else 1)
        self.score = nn.Linear(width, 1) if pooling == "attention" else None

    def forward(self, x_ND: Tensor, layout: Layout) -> Tensor:
        """(N, D) -> (S, D) or, for mean_max, (S, 2 D)."""
        if self.score is not None:
            parts = zip(layout.split(x_ND), layout.split(self.score(x_ND)), strict=True)
            return torch.stack([(x * s.softmax(0)).sum(0) for x, s in parts])
        mean_SD = layout.sums(x_ND) / layout.lengths_S[:, None].to(x_ND.dtype)
        if self.pooling == "mean":
            return mean_SD
        max_SD = torch.stack([x.amax(0) for x in layout.split(x_ND)])
        return torch.cat([mean_SD, max_SD], dim=-1)


class AnswerHead(nn.Module):
    """Outputs of a sequence from its pooled vector: dropout, hidden layer, linear."""

    def __init__(self, width: int, num_outputs: int, hidden: int, dropout: float) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.LayerNorm(width), nn.Dropout(dropout)]
        if hidden:
            layers += [nn.Linear(width, hidden), nn.GELU(), nn.Dropout(dropout)]
        layers.append(nn.Linear(hidden or width, num_outputs))
        self.layers = nn.Sequential(*layers)

    def forward(self, pooled_SD: Tensor) -> Tensor:
        """(S, D) -> (S, C) logits or values."""
        out: Tensor = self.layers(pooled_SD)
        return out


def stack_maps(layers: Sequence[Tensor]) -> Tensor:
    """Maps of one sequence, a list over layers of (H, T, T), as (layers x H, T, T)."""
    return torch.cat(list(layers))
