"""What stands on top of a language model: token probabilities and contacts."""

# Letters: N leading shape, D width, V vocabulary, M = layers x heads maps,
#          T tokens of one sequence, L residues of one sequence.
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lexome.layers.feed_forward import ACTIVATIONS


class LanguageModelHead(nn.Module):
    """Scores of every token at every position: dense, activation, norm, then one row a token.

    The rows are the embedding's (tied), or the head's own.
    """

    def __init__(
        self,
        width: int,
        vocabulary_size: int,
        eps: float,
        tied: bool = True,
        activation: str = "gelu",
    ) -> None:
        super().__init__()
        self.dense = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width, eps=eps)
        self.bias = nn.Parameter(torch.zeros(vocabulary_size))
        self.rows = None if tied else nn.Parameter(torch.empty(vocabulary_size, width))
        self.activation = activation

    def forward(self, x_ND: Tensor, embedding_VD: Tensor) -> Tensor:
        """Logits (N, V) before the softmax."""
        x_ND = self.norm(ACTIVATIONS[self.activation](self.dense(x_ND)))
        return F.linear(x_ND, embedding_VD if self.rows is None else self.rows, self.bias)


class TokenScores(nn.Module):
    """One row a token and nothing else: the embedding's rows (tied), or the head's own."""

    def __init__(self, width: int, size: int, tied: bool, bias: bool) -> None:
        super().__init__()
        self.rows = None if tied else nn.Parameter(torch.empty(size, width))
        self.bias = nn.Parameter(torch.zeros(size)) if bias else None

    def forward(self, x_ND: Tensor, embedding_VD: Tensor) -> Tensor:
        """Logits (N, V) before the softmax."""
        return F.linear(x_ND, embedding_VD if self.rows is None else self.rows, self.bias)


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


def stack_maps(layers: Sequence[Tensor]) -> Tensor:
    """Maps of one sequence, a list over layers of (H, T, T), as (layers x H, T, T)."""
    return torch.cat(list(layers))
