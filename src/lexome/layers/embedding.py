"""Token embedding with the ESM family's rescaling for masked tokens."""

# Letters: N leading shape, S sequences, D width.
from torch import Tensor, nn

from lexome.layers.layout import Layout

# 15 % of the tokens were chosen in training, 80 % of those became <mask>.
TRAINED_MASK_SHARE = 0.15 * 0.8


class TokenEmbedding(nn.Module):
    """Vectors of the tokens; with `token_dropout` as ESM-1b, ESM-1v and ESM-2 compute them.

    Rows at `<mask>` are zero and every row is scaled by
    (1 - 0.12) / (1 - masked / tokens of the sequence), special tokens counted: 0.88 when nothing
    is masked. Source: facebookresearch/esm esm2.py; transformers modeling_esm.py.
    """

    def __init__(self, vocabulary_size: int, width: int, mask_id: int, token_dropout: bool) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocabulary_size, width)
        self.mask_id, self.token_dropout = mask_id, token_dropout

    def forward(self, tokens_N: Tensor, layout: Layout) -> Tensor:
        """(N,) ids -> (N, D); padding slots are zero."""
        x_ND: Tensor = self.tokens(tokens_N)
        if self.token_dropout:
            masked_N = tokens_N == self.mask_id
            masked_share_S = layout.sums(masked_N.float()) / layout.lengths_S
            scale_S = (1 - TRAINED_MASK_SHARE) / (1 - masked_share_S)
            x_ND = x_ND.masked_fill(masked_N[..., None], 0.0)
            x_ND = (x_ND * layout.spread(scale_S)[..., None]).to(x_ND.dtype)
        return x_ND * layout.real_N[..., None]
