"""Letters as ones and zeros: what convolutional networks of DNA read."""

# Letters: N leading shape, C letters.
import torch
from torch import Tensor, nn


class OneHot(nn.Module):
    """Token ids to (N, C): a one for the token's letter, zeros for N and special tokens."""

    table: Tensor

    def __init__(self, vocabulary_size: int, first_letter: int, num_letters: int) -> None:
        super().__init__()
        table = torch.zeros(vocabulary_size, num_letters)
        table[first_letter : first_letter + num_letters] = torch.eye(num_letters)
        self.register_buffer("table", table, persistent=False)

    def forward(self, tokens_N: Tensor) -> Tensor:
        return self.table[tokens_N.long()]
