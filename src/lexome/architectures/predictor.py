"""A backbone with an answer on top: what fine-tuning trains and what a run saves."""

# Letters: N leading shape, S sequences, G features, C outputs, A residues answered.
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from lexome.layers.convolution import ConvolutionHead
from lexome.layers.layout import Layout
from lexome.layers.pairs import answer_pairs, paired_width
from lexome.layers.pooling import AnswerHead, SequencePool
from lexome.layers.summary import MeanPool, QueryPool

# Standardised features beyond this many deviations are rare proteins, not information.
FEATURE_LIMIT = 4.0


@dataclass(frozen=True, kw_only=True)
class HeadConfig:
    """The part above the backbone."""

    num_outputs: int
    num_features: int = 0  # numbers a sequence that come beside its tokens
    vector_width: int = 0  # of vectors that come instead of tokens, where there is no backbone
    pooling: str = "queries"  # of POOLS
    num_queries: int = 4
    num_convolutions: int = 0  # residual blocks between the backbone and the pooling
    convolution_width: int = 64
    hidden: int = 64
    dropout: float = 0.4
    per_residue: bool = False  # an answer a residue instead of one a sequence
    num_places: int = 0  # letters told apart by their place in a token; 0 where a token is one
    pairing: str = ""  # what two neighbouring sequences are: see `layers.pairs`


Pool = SequencePool | QueryPool | MeanPool
POOLS = ("queries", "mean", "additive", "multiplicative")


def make_pool(name: str, width: int, num_queries: int) -> Pool:
    """One vector a sequence: by some learned queries, the mean, or attention from the ends."""
    if name == "queries":
        return SequencePool(width, num_queries)
    return MeanPool(width) if name == "mean" else QueryPool(width, name == "additive")


def width_of(backbone: nn.Module) -> int:
    """Channels that a backbone gives each token."""
    width = backbone.width
    assert isinstance(width, int)
    return width


@runtime_checkable
class Shortens(Protocol):
    """A backbone that gives fewer vectors than tokens."""

    def shorten(self, tokens_N: Tensor, layout: Layout) -> tuple[Tensor, Layout]:
        """The vectors, and the layout of their own."""


class Predictor(nn.Module):
    """Tokens and features of the whole sequence to outputs.

    Without a backbone, vectors (N, D) stand for tokens, or there are features alone.
    """

    feature_mean: Tensor
    feature_scale: Tensor
    vector_mean: Tensor
    vector_scale: Tensor

    def __init__(self, backbone: nn.Module | None, config: HeadConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = backbone
        self.convolutions: ConvolutionHead | None = None
        self.pool: Pool | None = None
        width = config.vector_width if backbone is None else width_of(backbone)
        if width:
            if config.num_convolutions:
                self.convolutions = ConvolutionHead(
                    width, config.convolution_width, config.num_convolutions
                )
                width = config.convolution_width
            if not config.per_residue:
                self.pool = make_pool(config.pooling, width, config.num_queries)
        self.place: nn.Embedding | None = None
        if config.num_places:
            self.place = nn.Embedding(config.num_places, width)
        pooled = self.pool.width if self.pool is not None else width
        one = pooled + config.num_features
        both = paired_width(one, config.pairing)
        is_paired = both > one
        # A product of two vectors is as large as theirs: without a norm it would drown them.
        self.pair_norm = nn.LayerNorm(pooled) if pooled and is_paired else None
        self.answer = AnswerHead(both, config.num_outputs, config.hidden, config.dropout)
        self.register_buffer("feature_mean", torch.zeros(config.num_features))
        self.register_buffer("feature_scale", torch.ones(config.num_features))
        self.register_buffer("vector_mean", torch.zeros(config.vector_width))
        self.register_buffer("vector_scale", torch.ones(config.vector_width))

    def forward(
        self,
        tokens_N: Tensor | None,
        layout: Layout | None,
        features_SG: Tensor | None = None,
        token_A: Tensor | None = None,
        place_A: Tensor | None = None,
        types_N: Tensor | None = None,
    ) -> Tensor:
        """Outputs (S, C): logits, or standardised values; (A, C) of a head that answers residues.

        There `token_A` is the token of each residue, counted through the batch, and `place_A` its
        place in a token of several letters. Of pairs that are two inputs each (`pairing`), both
        stand side by side in tokens and features; `types_N` tells the second sequence of a joint
        input from the first.
        """
        if token_A is not None:
            return self._answer_residues(self._vectors(tokens_N, layout)[0], token_A, place_A)
        parts = []
        if self.pool is not None:
            pooled_SD = self.pool(*self._vectors(tokens_N, layout, types_N))
            parts.append(pooled_SD if self.pair_norm is None else self.pair_norm(pooled_SD))
        if self.config.num_features:
            assert features_SG is not None
            scaled_SG = (features_SG - self.feature_mean) / self.feature_scale
            parts.append(scaled_SG.clamp(-FEATURE_LIMIT, FEATURE_LIMIT))
        return answer_pairs(self.answer, torch.cat(parts, dim=-1), self.config.pairing)

    def _vectors(
        self, tokens_N: Tensor | None, layout: Layout | None, types_N: Tensor | None = None
    ) -> tuple[Tensor, Layout]:
        """A vector a token (N, D), or fewer in a layout of their own."""
        assert tokens_N is not None
        assert layout is not None
        if self.backbone is None:
            x_ND: Tensor = (tokens_N - self.vector_mean) / self.vector_scale
        elif isinstance(self.backbone, Shortens):
            x_ND, layout = self.backbone.shorten(tokens_N, layout)
        else:
            types = () if types_N is None else (types_N,)
            x_ND = self.backbone(tokens_N, layout, *types)
        return (x_ND if self.convolutions is None else self.convolutions(x_ND, layout)), layout

    def _answer_residues(self, x_ND: Tensor, token_A: Tensor, place_A: Tensor | None) -> Tensor:
        x_AD = x_ND.flatten(0, -2)[token_A].float()
        if self.place is not None:
            assert place_A is not None
            x_AD = x_AD + self.place(place_A)
        out_AC: Tensor = self.answer(x_AD)
        return out_AC

    def fit_features(self, features_SG: Tensor) -> None:
        """Standardise features by these (training) sequences."""
        self.feature_mean.copy_(features_SG.mean(0))
        self.feature_scale.copy_(features_SG.std(0).clamp(min=1e-6))

    def fit_vectors(self, vectors_TD: Tensor) -> None:
        """Standardise vectors by these of (training) sequences."""
        self.vector_mean.copy_(vectors_TD.mean(0))
        self.vector_scale.copy_(vectors_TD.std(0).clamp(min=1e-6))
