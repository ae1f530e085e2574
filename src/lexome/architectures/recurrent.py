"""Recurrent networks that read a sequence from both ends: plain (Elman), LSTM and GRU.

Source: Elman 1990; Hochreiter & Schmidhuber 1997; Cho et al. 2014.
"""

# Letters: N leading shape, S sequences, L longest, D width.
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from lexome.layers.layout import Layout

CELLS: dict[str, Any] = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}


@dataclass(frozen=True, kw_only=True)
class RecurrentConfig:
    """Sizes of the network."""

    cell: str = "lstm"
    embedding_width: int = 32
    width: int = 256  # of both directions together
    num_layers: int = 1
    dropout: float = 0.0  # between layers
    vocabulary_size: int = 33
    pad_id: int = 1


class Recurrent(nn.Module):
    """Token ids to one vector a token: what was read before it, and what is read after it.

    Each direction ends where its sequence ends, so padding is never read.
    """

    def __init__(self, config: RecurrentConfig) -> None:
        super().__init__()
        self.config = config
        self.width = config.width
        self.embedding = nn.Embedding(
            config.vocabulary_size, config.embedding_width, padding_idx=config.pad_id
        )
        self.cells = CELLS[config.cell](
            config.embedding_width,
            config.width // 2,
            config.num_layers,
            batch_first=True,
            bidirectional=True,
            dropout=config.dropout if config.num_layers > 1 else 0.0,
        )

    def forward(self, tokens_N: Tensor, layout: Layout) -> Tensor:
        """Hidden states (N, D)."""
        tokens_SL, rows = layout.to_rows(tokens_N)
        packed = pack_padded_sequence(
            self.embedding(tokens_SL.long()), rows.lengths_S.cpu(), True, enforce_sorted=False
        )
        x_SLD, _ = pad_packed_sequence(self.cells(packed)[0], True, total_length=max(rows.lengths))
        return layout.from_rows(x_SLD)
