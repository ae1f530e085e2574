"""Relative positions: what each head adds to the score of a key at some distance from its query.

A head's numbers are kept by distance (key - query), one after the other, and no matrix of queries
and keys is made of them: with the queries in reverse order, each row of that matrix is a window
into the numbers, one place further than the row before.
"""

# Letters: Q queries, which are the last of K keys; W = K + Q - 1 distances, from -(K - 1) to Q - 1;
#          H heads, d head width, N any shape.
import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def relative_buckets(
    distance_N: Tensor, num_buckets: int, max_distance: int, both_ways: bool
) -> Tensor:
    """The bucket of each distance (key - query).

    Both ways, the upper half is for keys ahead; otherwise those share the bucket of distance 0.
    Short distances have a bucket each, longer ones share by logarithm, in fp32 as published.
    Source: Raffel et al. 2020; transformers modeling_t5.py.

    >>> relative_buckets(torch.tensor([-200, -20, -3, 0, 3, 20]), 32, 128, both_ways=True).tolist()
    [15, 10, 3, 0, 19, 26]
    >>> relative_buckets(torch.tensor([-200, -20, -3, 0, 3, 20]), 32, 128, both_ways=False).tolist()
    [31, 17, 3, 0, 0, 0]
    """
    first_N = torch.zeros_like(distance_N)
    if both_ways:
        num_buckets //= 2
        first_N = (distance_N > 0).long() * num_buckets
        distance_N = distance_N.abs()
    else:
        distance_N = (-distance_N).clamp(min=0)
    exact = num_buckets // 2
    # In these steps and this order: a bound between buckets may hang on the last digit.
    share_N = torch.log(distance_N.clamp(min=1).float() / exact) / math.log(max_distance / exact)
    shared_N = exact + (share_N * (num_buckets - exact)).long()
    shared_N = shared_N.clamp(max=num_buckets - 1)
    return first_N + torch.where(distance_N < exact, distance_N, shared_N)


class RelativeBias(nn.Module):
    """A number for each bucket and head; one table serves all layers of a stack.

    `both_ways` in an encoder. A decoder's queries see no key ahead: there the number is -inf.
    """

    def __init__(
        self, num_buckets: int, num_heads: int, max_distance: int, both_ways: bool
    ) -> None:
        super().__init__()
        self.table = nn.Embedding(num_buckets, num_heads)
        self.max_distance, self.both_ways = max_distance, both_ways

    def forward(self, queries: int, keys: int) -> Tensor:
        """What is added by distance (H, W), for the last `queries` of `keys` places."""
        # Logarithms on the CPU: elsewhere the last digit may differ.
        distance_W = torch.arange(1 - keys, queries, device="cpu")
        num_buckets = self.table.num_embeddings
        bucket_W = relative_buckets(distance_W, num_buckets, self.max_distance, self.both_ways)
        added_WH: Tensor = self.table(bucket_W.to(self.table.weight.device))
        added_HW = added_WH.transpose(0, 1).contiguous()
        if not self.both_ways and queries > 1:
            added_HW = added_HW.index_fill(
                1, torch.arange(keys, keys + queries - 1, device=added_HW.device), float("-inf")
            )
        return added_HW


def narrow_distances(added_HW: Tensor, keys: int, longest: int, queries: int) -> Tensor:
    """Of the distances of `longest` keys those of fewer, for as many last `queries`."""
    return added_HW[:, longest - keys : longest + queries - 1]


def attend_by_distance(
    query_QHd: Tensor, key_KHd: Tensor, value_KHd: Tensor, added_HW: Tensor
) -> Tensor:
    """softmax(q k^T + what is added by distance) v of one sequence, (Q, H, d)."""
    heads, queries, keys = query_QHd.shape[1], len(query_QHd), len(key_KHd)
    added_HW = added_HW.to(query_QHd.dtype)
    # A query's distances begin one place later than those of the query behind it.
    added_HQK = added_HW.as_strided((heads, queries, keys), (added_HW.stride(0), 1, 1))
    if query_QHd.is_cuda:  # its kernels read rows that begin at even places only
        added_HQK = added_HQK.contiguous()
    out_HQd = F.scaled_dot_product_attention(
        query_QHd.flip(0).transpose(0, 1)[None],
        key_KHd.transpose(0, 1)[None],
        value_KHd.transpose(0, 1)[None],
        attn_mask=added_HQK[None],
        scale=1.0,
    )[0]
    return out_HQd.transpose(0, 1).flip(0)


def spread_distances(added_HW: Tensor, length: int) -> Tensor:
    """What is added to every score of a sequence (H, Q, K): the plain form."""
    place_K = torch.arange(length, device=added_HW.device)
    return added_HW[:, place_K[None, :] - place_K[:, None] + length - 1]
