"""Causal attention that goes on: keys and values of earlier tokens are kept in a State."""

# Letters: B rows, T new tokens of every row, C capacity, L keys that are looked at, H heads,
#          d head width, q queries at once.
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from lexome.layers.state import ROOM, State

QUERIES = 256  # of a long chunk at once, so that its mask stays small


class Reading(NamedTuple):
    """Where the new tokens of a step stand; the same for all layers."""

    positions_BT: Tensor
    longest: int  # of all rows, the new tokens among them
    is_fresh: bool  # nothing was read before
    hidden_B1L: Tensor | None = None  # of one token a row: 0, or minus infinity behind it

    @property
    def rows_B1(self) -> Tensor:
        """The number of each row."""
        return torch.arange(len(self.positions_BT), device=self.positions_BT.device)[:, None]


def begin_reading(state: State, num_tokens: int) -> Reading:
    """The places of the next tokens of every row.

    Raises:
        ValueError: they do not fit into the state.
    """
    before = int(state.lengths_B.max())
    if before + num_tokens > state.capacity:
        raise ValueError(f"{before + num_tokens} tokens exceed the capacity of {state.capacity}")
    steps_T = torch.arange(num_tokens, device=state.lengths_B.device)
    positions_BT = state.lengths_B[:, None] + steps_T
    hidden_B1L = None
    if num_tokens == 1:
        place_L = torch.arange(_room(before + 1), device=steps_T.device)
        behind_BL = place_L > positions_BT
        hidden_B1L = torch.zeros(behind_BL.shape, device=steps_T.device).masked_fill_(
            behind_BL, float("-inf")
        )[:, None]
    return Reading(positions_BT, before + num_tokens, before == 0, hidden_B1L)


def _room(length: int) -> int:
    """Keys that are read for so many tokens."""
    return -(-length // ROOM) * ROOM


def _attend_one(
    query_B1Hd: Tensor, keys_BCHd: Tensor, values_BCHd: Tensor, hidden_B1L: Tensor
) -> Tensor:
    """The same for one new token a row, by two products over all rows and heads.

    torch's attention calls a product for each row and head: with 32 rows of 16 heads and 128 tokens
    it took 2.4 ms where this takes 1.1, and 5.0 where heads lay inside of the tokens in memory.
    """
    rows, _, heads, width = query_B1Hd.shape
    keys = hidden_B1L.shape[-1]
    # A row's tokens of one head lie together (see `empty_state`): views of (rows x heads, C, d).
    key_NLd, value_NLd = (
        x.transpose(1, 2).flatten(0, 1)[:, :keys] for x in (keys_BCHd, values_BCHd)
    )
    query_N1d = query_B1Hd.reshape(rows * heads, 1, width).to(key_NLd.dtype)
    scores_BHL = torch.bmm(query_N1d, key_NLd.transpose(1, 2)).view(rows, heads, keys)
    weights_BHL = torch.softmax(scores_BHL.float() + hidden_B1L, -1).to(key_NLd.dtype)
    out_N1d = torch.bmm(weights_BHL.view(-1, 1, keys), value_NLd)
    return out_N1d.view(rows, 1, heads, width)


def cache_dtype(weight: Tensor) -> torch.dtype:
    """For caches that torch's own attention reads: fp32 on a CPU, as it is slow there in bf16.

    `attend_cached` reads single tokens by products, which are not, so its caches are the weights'.
    """
    return torch.float32 if weight.device.type == "cpu" else weight.dtype


def attend_cached(
    query_BTHd: Tensor,
    key_BTHd: Tensor,
    value_BTHd: Tensor,
    cache: dict[str, Tensor],
    reading: Reading,
) -> Tensor:
    """softmax(q k^T) v over all tokens so far, (B, T, H, d); the new ones are put into the cache.

    Queries come already scaled. Rows do not influence one another, to the bit.
    """
    keys_BCHd, values_BCHd = cache["keys"], cache["values"]
    dtype = query_BTHd.dtype
    if reading.is_fresh and query_BTHd.shape[1] == reading.longest:
        span = slice(0, reading.longest)
        keys_BCHd[:, span], values_BCHd[:, span] = key_BTHd, value_BTHd
        query, key, value = (x.transpose(1, 2) for x in (query_BTHd, key_BTHd, value_BTHd))
        out_BHTd = F.scaled_dot_product_attention(query, key, value, is_causal=True, scale=1.0)
        return out_BHTd.transpose(1, 2)
    places = (reading.rows_B1, reading.positions_BT)
    keys_BCHd[places] = key_BTHd.to(keys_BCHd.dtype)
    values_BCHd[places] = value_BTHd.to(values_BCHd.dtype)
    if reading.hidden_B1L is not None:
        return _attend_one(query_BTHd, keys_BCHd, values_BCHd, reading.hidden_B1L).to(dtype)
    keys = _room(reading.longest)
    key_BHLd, value_BHLd = (x[:, :keys].transpose(1, 2) for x in (keys_BCHd, values_BCHd))
    place_L = torch.arange(keys, device=query_BTHd.device)
    found = []
    for query_BqHd, place_Bq in zip(
        torch.split(query_BTHd, QUERIES, 1),
        torch.split(reading.positions_BT, QUERIES, 1),
        strict=True,
    ):
        mask_B1qL = (place_L <= place_Bq[..., None])[:, None]
        query_BHqd = query_BqHd.transpose(1, 2).to(key_BHLd.dtype)
        out_BHqd = F.scaled_dot_product_attention(
            query_BHqd, key_BHLd, value_BHLd, attn_mask=mask_B1qL, scale=1.0
        )
        found.append(out_BHqd.transpose(1, 2).to(dtype))
    return found[0] if len(found) == 1 else torch.cat(found, 1)
