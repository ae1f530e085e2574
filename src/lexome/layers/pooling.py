"""One vector a sequence from one vector a token, and an answer from that vector."""

# Letters: N leading shape, S sequences, L longest, D width, Q queries, C outputs.
import torch
from torch import Tensor, nn

from lexome.layers.ends import NUM_ENDS, distance_to_ends
from lexome.layers.layout import Layout


class SequencePool(nn.Module):
    """Attention pooling by a few learned queries that see the distance to both ends, mean, max.

    Special tokens count as tokens.
    """

    def __init__(self, width: int, num_queries: int) -> None:
        super().__init__()
        self.width = width * (num_queries + 2)
        self.query = nn.Linear(width, num_queries)
        self.place = nn.Linear(NUM_ENDS, num_queries, bias=False)
        nn.init.zeros_(self.place.weight)

    def forward(self, x_ND: Tensor, layout: Layout) -> Tensor:
        """(N, D) -> (S, (Q + 2) D)."""
        x_SLD, rows = layout.to_rows(x_ND)
        padding_SL1 = ~rows.real_N[..., None]
        scores_SLQ = self.query(x_SLD) + self.place(distance_to_ends(rows).to(x_SLD.dtype))
        weights_SLQ = scores_SLQ.float().masked_fill(padding_SL1, float("-inf")).softmax(1)
        x_SLD = x_SLD.float()
        attended_SQD = torch.bmm(weights_SLQ.transpose(1, 2), x_SLD)
        mean_SD = rows.sums(x_SLD) / rows.lengths_S[:, None]
        max_SD = x_SLD.masked_fill(padding_SL1, float("-inf")).amax(1)
        return torch.cat([attended_SQD.flatten(1).float(), mean_SD, max_SD], dim=-1)


class AnswerHead(nn.Module):
    """Outputs from a vector: norm, dropout, hidden layer, dropout, linear.

    Without a hidden layer (`hidden` 0): norm, dropout, linear.
    """

    def __init__(self, width: int, num_outputs: int, hidden: int, dropout: float) -> None:
        super().__init__()
        if not hidden:
            last = nn.Linear(width, num_outputs)
            self.layers = nn.Sequential(nn.LayerNorm(width), nn.Dropout(dropout), last)
            return
        self.layers = nn.Sequential(
            nn.LayerNorm(width),
            nn.Dropout(dropout),
            nn.Linear(width, hidden),
            nn.SiLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, num_outputs),
        )

    def forward(self, x_SD: Tensor) -> Tensor:
        """(S, D) -> (S, C) logits or values."""
        out_SC: Tensor = self.layers(x_SD)
        return out_SC
