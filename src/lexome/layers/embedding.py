"""Token embedding: what a token is, where it stands, and what the ESM family does with masks."""

# Letters: N leading shape, S sequences, D width.
import torch
from torch import Tensor, nn

from lexome.layers.layout import Layout

# 15 % of the tokens were chosen in training, 80 % of those became <mask>.
TRAINED_MASK_SHARE = 0.15 * 0.8


class TokenEmbedding(nn.Module):
    """Vectors of the tokens, and what a family adds to them.

    With `token_dropout`, as ESM-1b, ESM-1v, ESM-2 and Nucleotide Transformer v1 compute them: rows
    at `<mask>` are zero and every row is scaled by (1 - 0.12) / (1 - masked / tokens of the
    sequence), special tokens counted: 0.88 when nothing is masked. Then learned positions, token
    types and a norm, each where the family has it.
    Source: facebookresearch/esm esm1.py, esm2.py; transformers modeling_esm.py, modeling_bert.py.

    Args:
        first_position: row of the table for the first token; fairseq's models begin behind the
            padding's.
    """

    def __init__(
        self,
        vocabulary_size: int,
        width: int,
        mask_id: int,
        token_dropout: bool = False,
        num_positions: int = 0,
        first_position: int = 0,
        num_types: int = 0,
        norm_eps: float | None = None,
    ) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocabulary_size, width)
        self.positions = nn.Embedding(num_positions, width) if num_positions else None
        self.types = nn.Embedding(num_types, width) if num_types else None
        self.norm = nn.LayerNorm(width, eps=norm_eps) if norm_eps is not None else None
        self.mask_id, self.token_dropout = mask_id, token_dropout
        self.first_position = first_position

    def forward(self, tokens_N: Tensor, layout: Layout, types_N: Tensor | None = None) -> Tensor:
        """(N,) ids -> (N, D); padding slots are zero. Without `types_N` all are of type 0."""
        x_ND: Tensor = self.tokens(tokens_N)
        if self.token_dropout:
            masked_N = tokens_N == self.mask_id
            masked_share_S = layout.sums(masked_N.float()) / layout.lengths_S
            scale_S = (1 - TRAINED_MASK_SHARE) / (1 - masked_share_S)
            x_ND = x_ND.masked_fill(masked_N[..., None], 0.0)
            x_ND = (x_ND * layout.spread(scale_S)[..., None]).to(x_ND.dtype)
        if self.types is not None:
            x_ND = x_ND + self.types(torch.zeros_like(tokens_N) if types_N is None else types_N)
        if self.positions is not None:
            x_ND = x_ND + self.positions(layout.positions_N + self.first_position)
        if self.norm is not None:
            x_ND = self.norm(x_ND)
        return x_ND * layout.real_N[..., None]
