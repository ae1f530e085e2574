"""Scores of every token from hidden states: a product with one row a token."""

# Letters: N leading shape, D width, V vocabulary.
import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Unembedding(nn.Module):
    """Logits (N, V) by the rows of the embedding (tied), or by rows of its own."""

    def __init__(self, embedding: nn.Embedding, tied: bool = True) -> None:
        super().__init__()
        # In a tuple it is no child: its rows are counted, moved and saved once.
        self._embedding = (embedding,)
        self.rows = None if tied else nn.Parameter(torch.empty_like(embedding.weight))

    @property
    def weight(self) -> Tensor:
        """The rows (V, D)."""
        return self._embedding[0].weight if self.rows is None else self.rows

    def forward(self, hidden_ND: Tensor) -> Tensor:
        return F.linear(hidden_ND, self.weight)
