"""The MSA Transformer: attention along the rows and the columns of an alignment."""

# Letters: R rows (sequences), C columns (positions), D width, H heads, d head width, V vocabulary.
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lexome.layers.attention import Attention
from lexome.layers.feed_forward import FeedForward
from lexome.layers.heads import LanguageModelHead, remove_average_product


@dataclass(frozen=True, kw_only=True)
class MsaConfig:
    """Sizes of an MSA Transformer; the defaults are those of esm_msa1b."""

    num_layers: int
    width: int
    num_heads: int
    ffn_width: int
    vocabulary_size: int = 33
    mask_id: int = 32
    pad_id: int = 1
    layer_norm_eps: float = 1e-5
    context: int = 1024  # columns, <cls> among them
    depth: int = 1024  # rows
    row_width: int | None = None  # of a row's own vector, where it is not the model's width

    def __post_init__(self) -> None:
        if self.width % self.num_heads:
            raise ValueError(f"width {self.width} must split into {self.num_heads} heads")


class MsaOutput(NamedTuple):
    """What a forward pass keeps when asked to."""

    hidden_RCD: Tensor  # after the final norm
    layers: list[Tensor]  # embeddings first, then each block's output; the last one normed
    row_maps: list[Tensor]  # a layer (H, C, C), shared by all rows
    column_maps: list[Tensor]  # a layer (H, C, R, R)


class MsaBlock(nn.Module):
    """Row attention, column attention, feed-forward, each added to what came in, normed before."""

    def __init__(self, config: MsaConfig) -> None:
        super().__init__()
        width, eps = config.width, config.layer_norm_eps
        self.row_norm = nn.LayerNorm(width, eps=eps)
        self.row_attention = Attention(width, config.num_heads)
        self.column_norm = nn.LayerNorm(width, eps=eps)
        self.column_attention = Attention(width, config.num_heads)
        self.feed_forward_norm = nn.LayerNorm(width, eps=eps)
        self.feed_forward = FeedForward(width, config.ffn_width)

    def forward(self, x_RCD: Tensor, maps: tuple[list[Tensor], list[Tensor]] | None) -> Tensor:
        """`x_RCD` after the three; appends row and column maps where `maps` is given."""
        x_RCD = x_RCD + self._rows(self.row_norm(x_RCD), maps)
        x_RCD = x_RCD + self._columns(self.column_norm(x_RCD), maps)
        out_RCD: Tensor = x_RCD + self.feed_forward(self.feed_forward_norm(x_RCD))
        return out_RCD

    def _rows(self, x_RCD: Tensor, maps: tuple[list[Tensor], list[Tensor]] | None) -> Tensor:
        """One map for all rows: scores are summed over them, and scaled by their number's root."""
        query, key, value_RCHd = self.row_attention.project(x_RCD, None)
        scores_HQK = torch.einsum("rqhd,rkhd->hqk", query, key) * len(x_RCD) ** -0.5
        weights_HQK = scores_HQK.float().softmax(-1)
        if maps is not None:
            maps[0].append(weights_HQK)
        context = torch.einsum("hqk,rkhd->rqhd", weights_HQK.to(value_RCHd.dtype), value_RCHd)
        out_RCD: Tensor = self.row_attention.output(context.flatten(-2))
        return out_RCD

    def _columns(self, x_RCD: Tensor, maps: tuple[list[Tensor], list[Tensor]] | None) -> Tensor:
        """Within each column, among its rows."""
        query, key, value_RCHd = self.column_attention.project(x_RCD, None)
        if maps is None:
            context = _attend_columns(query, key, value_RCHd)
        else:
            weights_CHQK = torch.einsum("qchd,kchd->chqk", query, key).float().softmax(-1)
            maps[1].append(weights_CHQK.transpose(0, 1))
            context = torch.einsum("chqk,kchd->qchd", weights_CHQK.to(query.dtype), value_RCHd)
        out_RCD: Tensor = self.column_attention.output(context.flatten(-2))
        return out_RCD


def _attend_columns(query_RCHd: Tensor, key_RCHd: Tensor, value_RCHd: Tensor) -> Tensor:
    """The fused form of softmax(q k^T) v among the rows of each column; q comes scaled."""
    query, key, value = (x.permute(1, 2, 0, 3) for x in (query_RCHd, key_RCHd, value_RCHd))
    return F.scaled_dot_product_attention(query, key, value, scale=1.0).permute(2, 0, 1, 3)


class MsaTransformer(nn.Module):
    """One alignment at a time, so that its depth is its own.

    The published code scales row attention by the depth that a batch is filled up to, so there an
    alignment's answer depends on its company; alone, both agree. Source: Rao et al. 2021;
    facebookresearch/esm msa_transformer.py, axial_attention.py, to 5e-5.
    """

    def __init__(self, config: MsaConfig) -> None:
        super().__init__()
        self.config, self.width = config, config.width
        eps, first = config.layer_norm_eps, config.pad_id + 1
        self.tokens = nn.Embedding(config.vocabulary_size, config.width)
        self.positions = nn.Embedding(config.context + first, config.width)
        self.rows = nn.Parameter(torch.zeros(config.depth, config.row_width or config.width))
        self.embedding_norm = nn.LayerNorm(config.width, eps=eps)
        self.blocks = nn.ModuleList(MsaBlock(config) for _ in range(config.num_layers))
        self.final_norm = nn.LayerNorm(config.width, eps=eps)
        self.language_model_head = LanguageModelHead(config.width, config.vocabulary_size, eps)
        self.contact_regression = nn.Linear(config.num_layers * config.num_heads, 1)

    def forward(self, tokens_RC: Tensor) -> Tensor:
        """Hidden states (R, C, D) after the final norm."""
        x_RCD = self._embed(tokens_RC)
        for block in self.blocks:
            x_RCD = block(x_RCD, None)
        hidden_RCD: Tensor = self.final_norm(x_RCD)
        return hidden_RCD

    def trace(self, tokens_RC: Tensor) -> MsaOutput:
        """The same, keeping every layer's output and all attention maps."""
        maps: tuple[list[Tensor], list[Tensor]] = ([], [])
        layers = [self._embed(tokens_RC)]
        for block in self.blocks:
            layers.append(block(layers[-1], maps))
        layers[-1] = self.final_norm(layers[-1])
        return MsaOutput(layers[-1], layers, *maps)

    def logits(self, hidden_RCD: Tensor) -> Tensor:
        """Scores of every token (R, C, V)."""
        scores: Tensor = self.language_model_head(hidden_RCD, self.tokens.weight)
        return scores

    def contacts(self, row_maps: list[Tensor]) -> Tensor:
        """Contact probabilities (L, L) of the alignment's columns, `<cls>` left out."""
        maps_MCC = torch.cat(row_maps)[:, 1:, 1:]
        symmetric_MLL = maps_MCC + maps_MCC.transpose(-1, -2)
        corrected_MLL = remove_average_product(symmetric_MLL)
        logits_LL = self.contact_regression(corrected_MLL.permute(1, 2, 0)).squeeze(-1)
        return torch.sigmoid(logits_LL)

    def _embed(self, tokens_RC: Tensor) -> Tensor:
        depth, columns = tokens_RC.shape
        place_C = torch.arange(columns, device=tokens_RC.device) + self.config.pad_id + 1
        x_RCD = self.tokens(tokens_RC) + self.positions(place_C)
        x_RCD = self.embedding_norm(x_RCD + self.rows[:depth, None])
        out_RCD: Tensor = x_RCD
        return out_RCD
