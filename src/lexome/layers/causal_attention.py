"""Attention to oneself and to what came before, over layouts and over rows with a past."""

# Letters: N leading shape, H heads, d head width, B rows, T new tokens, C capacity, P past tokens.
import torch
from torch import Tensor
from torch.nn import functional as F

from lexome.layers.layout import Layout, PaddedLayout

QUERIES = 512  # at a time where a mask is needed, so that it stays small


def attend_causal(query_NHd: Tensor, key_NHd: Tensor, value_NHd: Tensor, layout: Layout) -> Tensor:
    """softmax(q k^T) v, each token to those up to itself; queries come already scaled.

    Padding stands behind a sequence, so that nothing before it sees it.
    """
    if isinstance(layout, PaddedLayout):
        return _attend_rows(query_NHd, key_NHd, value_NHd)
    parts = [layout.split(x) for x in (query_NHd, key_NHd, value_NHd)]
    out = [_attend_rows(q[None], k[None], v[None])[0] for q, k, v in zip(*parts, strict=True)]
    return torch.cat(out)


def causal_maps(query_NHd: Tensor, key_NHd: Tensor, layout: Layout) -> list[Tensor]:
    """The attention probabilities of each sequence, (H, T, T), by the plain formula in fp32."""
    maps = []
    for q, k in zip(layout.split(query_NHd), layout.split(key_NHd), strict=True):
        scores_HTT = torch.einsum("qhd,khd->hqk", q, k).float()
        later_TT = torch.ones_like(scores_HTT[0], dtype=torch.bool).triu(1)
        maps.append(scores_HTT.masked_fill(later_TT, float("-inf")).softmax(-1))
    return maps


def attend_cache(
    query_BTHd: Tensor, keys_BCHd: Tensor, values_BCHd: Tensor, lengths: list[int]
) -> Tensor:
    """The same for tokens that come behind a past: row b's keys end at `lengths[b]`.

    Row by row, each at its own length: what lies behind a length is never read, and no row can
    change another one's numbers.
    """
    new = query_BTHd.shape[1]
    return torch.cat(
        [
            _attend_past(query_BTHd[b : b + 1], keys_BCHd[b, :n], values_BCHd[b, :n], n - new)
            for b, n in enumerate(lengths)
        ]
    )


def _attend_past(query_1THd: Tensor, keys_PHd: Tensor, values_PHd: Tensor, past: int) -> Tensor:
    if not past:
        return _attend_rows(query_1THd, keys_PHd[None], values_PHd[None])
    out = []
    for start in range(0, query_1THd.shape[1], QUERIES):
        q_1THd = query_1THd[:, start : start + QUERIES]
        end = past + start + q_1THd.shape[1]
        mask_TP = None
        if q_1THd.shape[1] > 1:
            places_T = torch.arange(end - q_1THd.shape[1], end, device=q_1THd.device)
            mask_TP = torch.arange(end, device=q_1THd.device) <= places_T[:, None]
        q, k, v = (
            x.transpose(1, 2) for x in (q_1THd, keys_PHd[None, :end], values_PHd[None, :end])
        )
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=mask_TP, scale=1.0)
        out.append(attended.transpose(1, 2))
    return out[0] if len(out) == 1 else torch.cat(out, dim=1)


def _attend_rows(query_BTHd: Tensor, key_BTHd: Tensor, value_BTHd: Tensor) -> Tensor:
    q, k, v = (x.transpose(1, 2) for x in (query_BTHd, key_BTHd, value_BTHd))
    attended = F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=1.0)
    return attended.transpose(1, 2)
