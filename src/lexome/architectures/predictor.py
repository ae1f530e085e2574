"""A backbone with an answer on top: what fine-tuning trains and what a run saves."""

# Letters: N leading shape, S sequences, G features, C outputs.
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lexome.layers.layout import Layout
from lexome.layers.pooling import AnswerHead, SequencePool

# Standardised features beyond this many deviations are rare proteins, not information.
FEATURE_LIMIT = 4.0


@dataclass(frozen=True, kw_only=True)
class HeadConfig:
    """The part above the backbone."""

    num_outputs: int
    num_features: int = 0  # numbers a sequence that come beside its tokens
    num_queries: int = 4
    hidden: int = 64
    dropout: float = 0.4


def width_of(backbone: nn.Module) -> int:
    """Channels that a backbone gives each token."""
    width = backbone.width
    assert isinstance(width, int)
    return width


class Predictor(nn.Module):
    """Tokens and features of the whole sequence to outputs; features alone without a backbone."""

    feature_mean: Tensor
    feature_scale: Tensor

    def __init__(self, backbone: nn.Module | None, config: HeadConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = backbone
        self.pool = (
            SequencePool(width_of(backbone), config.num_queries) if backbone is not None else None
        )
        pooled = self.pool.width if self.pool is not None else 0
        self.answer = AnswerHead(
            pooled + config.num_features, config.num_outputs, config.hidden, config.dropout
        )
        self.register_buffer("feature_mean", torch.zeros(config.num_features))
        self.register_buffer("feature_scale", torch.ones(config.num_features))

    def forward(
        self, tokens_N: Tensor | None, layout: Layout | None, features_SG: Tensor | None = None
    ) -> Tensor:
        """Outputs (S, C): logits, or standardised values."""
        parts = []
        if self.backbone is not None and self.pool is not None:
            assert tokens_N is not None
            assert layout is not None
            parts.append(self.pool(self.backbone(tokens_N, layout), layout))
        if self.config.num_features:
            assert features_SG is not None
            scaled_SG = (features_SG - self.feature_mean) / self.feature_scale
            parts.append(scaled_SG.clamp(-FEATURE_LIMIT, FEATURE_LIMIT))
        out_SC: Tensor = self.answer(torch.cat(parts, dim=-1))
        return out_SC

    def fit_features(self, features_SG: Tensor) -> None:
        """Standardise features by these (training) sequences."""
        self.feature_mean.copy_(features_SG.mean(0))
        self.feature_scale.copy_(features_SG.std(0).clamp(min=1e-6))
