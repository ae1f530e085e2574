"""One vector a sequence by attention with a query, additive or multiplicative; or the mean."""

# Letters: N leading shape, S sequences, L longest, D width.
import torch
from torch import Tensor, nn

from lexome.layers.layout import Layout, PaddedLayout


class QueryPool(nn.Module):
    """What the ends of a sequence ask of all its tokens: [context, query], (S, 2 D).

    The query is what a bidirectional recurrent network knows at its end: of the first half of the
    channels the last token's, of the second half the first token's. A token's score is
    v . tanh(W h + U q) (additive: Bahdanau, Cho & Bengio 2015) or q . W h (multiplicative, called
    "general" by Luong, Pham & Manning 2015).
    """

    def __init__(self, width: int, additive: bool) -> None:
        super().__init__()
        self.width = 2 * width
        self.key = nn.Linear(width, width, bias=False)
        self.query = nn.Linear(width, width) if additive else None
        self.score = nn.Linear(width, 1, bias=False) if additive else None

    def forward(self, x_ND: Tensor, layout: Layout) -> Tensor:
        """(N, D) -> (S, 2 D)."""
        x_SLD, rows = layout.to_rows(x_ND)
        x_SLD = x_SLD.float()
        query_SD = ends_of(x_SLD, rows)
        key_SLD = self.key(x_SLD).float()
        if self.query is not None and self.score is not None:
            scores_SL1 = self.score(torch.tanh(key_SLD + self.query(query_SD)[:, None]))
        else:
            scores_SL1 = torch.bmm(key_SLD, query_SD[..., None])
        scores_SL1 = scores_SL1.float().masked_fill(~rows.real_N[..., None], float("-inf"))
        context_SD = (scores_SL1.softmax(1) * x_SLD).sum(1)
        return torch.cat([context_SD, query_SD], dim=-1)


class MeanPool(nn.Module):
    """The mean over the tokens of each sequence."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, x_ND: Tensor, layout: Layout) -> Tensor:
        """(N, D) -> (S, D)."""
        x_SLD, rows = layout.to_rows(x_ND)
        mean_SD: Tensor = rows.sums(x_SLD.float()) / rows.lengths_S[:, None]
        return mean_SD


def ends_of(x_SLD: Tensor, rows: PaddedLayout) -> Tensor:
    """The last token's first half and the first token's second half, (S, D)."""
    half = x_SLD.shape[-1] // 2
    every_S = torch.arange(len(x_SLD), device=x_SLD.device)
    last_SD = x_SLD[every_S, rows.lengths_S - 1]
    return torch.cat([last_SD[:, :half], x_SLD[:, 0, half:]], dim=-1)
