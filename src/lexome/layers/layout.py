"""How sequences lie in a tensor: end to end (packed) or in rows with padding (the slow twin).

A model is written once, against the questions that both answer: where is each token in its
sequence, what does a sequence attend to, what is the sum over a sequence.
"""

# Letters: S sequences, L longest sequence, T tokens over all sequences, H heads, d head width,
#          D width, N any leading shape: (T,) packed, (S, L) padded; W distances (relative.py).
from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor
from torch.nn import functional as F

from lexome.layers.alibi import alibi_bias
from lexome.layers.products import attend_products, can_multiply
from lexome.layers.relative import attend_by_distance, narrow_distances, spread_distances
from lexome.layers.varlen import attend_varlen, can_varlen


class PackedLayout:
    """Sequences end to end without padding: tensors are (T, ...)."""

    def __init__(self, lengths: Sequence[int], device: torch.device | str = "cpu") -> None:
        if not lengths or min(lengths) < 1:
            raise ValueError(f"every packed sequence needs a token; got the lengths {lengths}")
        self.lengths = list(lengths)
        self.bounds = [0, *accumulate(self.lengths)]
        # Everything is made on the host or with its size given: nothing waits for a GPU.
        self.bounds_S1 = torch.tensor(self.bounds, dtype=torch.int32).to(device, non_blocking=True)
        self.lengths_S = torch.tensor(self.lengths).to(device, non_blocking=True)
        index_S = torch.arange(len(self.lengths), device=device)
        self.sequence_T = torch.repeat_interleave(
            index_S, self.lengths_S, output_size=self.bounds[-1]
        )
        starts_S = self.bounds_S1[:-1]
        self.positions_N = torch.arange(self.bounds[-1], device=device) - starts_S[self.sequence_T]
        self.real_N = torch.ones_like(self.positions_N, dtype=torch.bool)

    def attend(
        self,
        query_THd: Tensor,
        key_THd: Tensor,
        value_THd: Tensor,
        slopes_H: Tensor | None = None,
        causal: bool = False,
        added_HW: Tensor | None = None,
    ) -> Tensor:
        """softmax(q k^T) v within each sequence; queries come already scaled. (T, H, d).

        With `slopes_H` (ALiBi), scores fall by slope x distance. With `causal`, a token attends
        to itself and what lies before it. `added_HW` is what each head adds by distance
        (`RelativeBias` of the longest sequence).
        """
        if added_HW is not None:
            return self._attend_by_distance(query_THd, key_THd, value_THd, added_HW)
        if slopes_H is None and not causal and can_varlen(query_THd):
            longest = max(self.lengths)
            return attend_varlen(query_THd, key_THd, value_THd, self.bounds_S1, longest)
        if (
            slopes_H is None
            and not causal
            and can_multiply(max(self.lengths), query_THd, key_THd, value_THd)
        ):
            return attend_products(query_THd, key_THd, value_THd, self.bounds)
        split = [torch.split(x, self.lengths) for x in (query_THd, key_THd, value_THd)]
        bias_HQK = None
        if slopes_H is not None:  # that of a shorter sequence is a corner of it
            bias_HQK = alibi_bias(slopes_H, max(self.lengths)).to(query_THd.dtype)
        out = [
            F.scaled_dot_product_attention(
                q.transpose(0, 1)[None],
                k.transpose(0, 1)[None],
                v.transpose(0, 1)[None],
                attn_mask=None if bias_HQK is None else bias_HQK[None, :, : len(q), : len(q)],
                is_causal=causal,
                scale=1.0,
            )[0].transpose(0, 1)
            for q, k, v in zip(*split, strict=True)
        ]
        return torch.cat(out)

    def attend_some(
        self, query_RHd: Tensor, key_THd: Tensor, value_THd: Tensor, counts: Sequence[int]
    ) -> Tensor:
        """As `attend`, for some tokens of each sequence only: `counts` of them, in order."""
        split = [torch.split(x, self.lengths) for x in (key_THd, value_THd)]
        out = [
            F.scaled_dot_product_attention(
                q.transpose(0, 1)[None],
                k.transpose(0, 1)[None],
                v.transpose(0, 1)[None],
                scale=1.0,
            )[0].transpose(0, 1)
            for q, k, v in zip(torch.split(query_RHd, list(counts)), *split, strict=True)
            if len(q)
        ]
        return torch.cat(out) if out else value_THd[:0]

    def _attend_by_distance(
        self, query_THd: Tensor, key_THd: Tensor, value_THd: Tensor, added_HW: Tensor
    ) -> Tensor:
        longest = max(self.lengths)
        split = [torch.split(x, self.lengths) for x in (query_THd, key_THd, value_THd)]
        out = [
            attend_by_distance(q, k, v, narrow_distances(added_HW, len(q), longest, len(q)))
            for q, k, v in zip(*split, strict=True)
        ]
        return torch.cat(out)

    def attention_maps(
        self,
        query_THd: Tensor,
        key_THd: Tensor,
        slopes_H: Tensor | None = None,
        causal: bool = False,
        added_HW: Tensor | None = None,
    ) -> list[Tensor]:
        """The attention probabilities of each sequence, (H, T, T), by the plain formula in fp32."""
        longest = max(self.lengths)
        maps = []
        for q, k in zip(
            torch.split(query_THd, self.lengths), torch.split(key_THd, self.lengths), strict=True
        ):
            scores_HQK = torch.einsum("qhd,khd->hqk", q, k).float()
            if slopes_H is not None:
                scores_HQK = scores_HQK + alibi_bias(slopes_H, len(q))
            if added_HW is not None:
                own_HW = narrow_distances(added_HW, len(q), longest, len(q))
                scores_HQK = scores_HQK + spread_distances(own_HW, len(q))
            if causal:
                scores_HQK = scores_HQK.masked_fill(_is_later(len(q), q.device), float("-inf"))
            maps.append(torch.softmax(scores_HQK, dim=-1))
        return maps

    def sums(self, values_TD: Tensor) -> Tensor:
        """The sum over each sequence, (S, D)."""
        sums_SD = values_TD.new_zeros(len(self.lengths), *values_TD.shape[1:])
        return sums_SD.index_add(0, self.sequence_T, values_TD)

    def spread(self, values_S: Tensor) -> Tensor:
        """One value a sequence, given to each of its tokens: (S, ...) -> (T, ...)."""
        return values_S[self.sequence_T]

    def split(self, values_TD: Tensor) -> list[Tensor]:
        """One tensor a sequence."""
        return list(torch.split(values_TD, self.lengths))

    def to_rows(self, values_TD: Tensor) -> tuple[Tensor, "PaddedLayout"]:
        """The same as rows with zeros behind the end, for bricks that look at neighbours."""
        rows = PaddedLayout(self.lengths, values_TD.device)
        values_SLD = values_TD.new_zeros(*rows.real_N.shape, *values_TD.shape[1:])
        return values_SLD.index_put((self.sequence_T, self.positions_N), values_TD), rows

    def from_rows(self, values_SLD: Tensor) -> Tensor:
        """The way back from `to_rows`."""
        return values_SLD[self.sequence_T, self.positions_N]


class PaddedLayout:
    """Sequences as rows, filled up to the longest: tensors are (S, L, ...). The slow twin."""

    def __init__(self, lengths: Sequence[int], device: torch.device | str = "cpu") -> None:
        if not lengths or min(lengths) < 1:
            raise ValueError(f"every padded sequence needs a token; got the lengths {lengths}")
        self.lengths = list(lengths)
        self.lengths_S = torch.tensor(self.lengths, device=device)
        self.positions_N = torch.arange(max(self.lengths), device=device).expand(len(lengths), -1)
        self.real_N = self.positions_N < self.lengths_S[:, None]

    def attend(
        self,
        query_SLHd: Tensor,
        key_SLHd: Tensor,
        value_SLHd: Tensor,
        slopes_H: Tensor | None = None,
        causal: bool = False,
        added_HW: Tensor | None = None,
    ) -> Tensor:
        """softmax(q k^T) v by the plain formula; padding gets no weight. (S, L, H, d)."""
        weights_SHqk = self._weights(query_SLHd, key_SLHd, slopes_H, causal, added_HW)
        weights_SHqk = weights_SHqk.to(value_SLHd.dtype)
        return torch.einsum("shqk,skhd->sqhd", weights_SHqk, value_SLHd)

    def attention_maps(
        self,
        query_SLHd: Tensor,
        key_SLHd: Tensor,
        slopes_H: Tensor | None = None,
        causal: bool = False,
        added_HW: Tensor | None = None,
    ) -> list[Tensor]:
        """The attention probabilities of each sequence, (H, T, T), padding cut off."""
        weights_SHqk = self._weights(query_SLHd, key_SLHd, slopes_H, causal, added_HW)
        return [w[:, :n, :n] for w, n in zip(weights_SHqk, self.lengths, strict=True)]

    def _weights(
        self,
        query_SLHd: Tensor,
        key_SLHd: Tensor,
        slopes_H: Tensor | None,
        causal: bool,
        added_HW: Tensor | None,
    ) -> Tensor:
        scores_SHqk = torch.einsum("sqhd,skhd->shqk", query_SLHd, key_SLHd).float()
        if slopes_H is not None:
            scores_SHqk = scores_SHqk + alibi_bias(slopes_H, scores_SHqk.shape[-1])
        if added_HW is not None:
            scores_SHqk = scores_SHqk + spread_distances(added_HW, scores_SHqk.shape[-1])
        if causal:
            later_qk = _is_later(scores_SHqk.shape[-1], scores_SHqk.device)
            scores_SHqk = scores_SHqk.masked_fill(later_qk, float("-inf"))
        return scores_SHqk.masked_fill(~self.real_N[:, None, None, :], float("-inf")).softmax(-1)

    def sums(self, values_SLD: Tensor) -> Tensor:
        """The sum over each sequence's own tokens, (S, D)."""
        real = self.real_N.reshape(*self.real_N.shape, *[1] * (values_SLD.dim() - 2))
        return (values_SLD * real).sum(1)

    def spread(self, values_S: Tensor) -> Tensor:
        """One value a sequence, given to each of its slots: (S, ...) -> (S, L, ...)."""
        return values_S[:, None].expand(-1, self.real_N.shape[1], *values_S.shape[1:])

    def split(self, values_SLD: Tensor) -> list[Tensor]:
        """One tensor a sequence, padding cut off."""
        return [v[:n] for v, n in zip(values_SLD, self.lengths, strict=True)]

    def to_rows(self, values_SLD: Tensor) -> tuple[Tensor, "PaddedLayout"]:
        """Already rows."""
        return values_SLD, self

    def from_rows(self, values_SLD: Tensor) -> Tensor:
        """Still rows."""
        return values_SLD


def _is_later(length: int, device: torch.device) -> Tensor:
    """Whether key k lies behind query q, (q, k)."""
    return torch.ones(length, length, dtype=torch.bool, device=device).triu(1)


Layout = PackedLayout | PaddedLayout
