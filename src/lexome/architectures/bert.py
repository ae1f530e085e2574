"""The post-norm encoders: BERT, DNABERT and DNABERT-2."""

# Letters: N leading shape ((T,) packed, (S, L) padded), S sequences, D width, V vocabulary.
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from lexome.architectures.encoder import EncoderOutput
from lexome.layers.alibi import alibi_slopes
from lexome.layers.block import PostNormBlock
from lexome.layers.embedding import TokenEmbedding
from lexome.layers.heads import LanguageModelHead
from lexome.layers.layout import Layout


@dataclass(frozen=True, kw_only=True)
class BertConfig:
    """Sizes and switches; the defaults are BERT's. DNABERT-2 has ALiBi and a gated feed-forward."""

    num_layers: int
    width: int
    num_heads: int
    ffn_width: int
    vocabulary_size: int
    mask_id: int
    pad_id: int = 0
    num_types: int = 2
    layer_norm_eps: float = 1e-12
    positions: Literal["learned", "alibi"] = "learned"
    feed_forward: str = "gelu"
    head_activation: str = "gelu"
    language_model_head: bool = True
    tied_head: bool = True
    pooler: bool = False
    next_sentence_head: bool = False
    context: int = 512  # tokens, [CLS] and [SEP] among them

    def __post_init__(self) -> None:
        if self.width % self.num_heads:
            raise ValueError(f"width {self.width} must split into {self.num_heads} heads")


class Bert(nn.Module):
    """Token embedding, post-norm blocks; language-model head, pooler and pair head where stored.

    Source: Devlin et al. 2019; Ji et al. 2021 (DNABERT); Zhou et al. 2023 (DNABERT-2), whose code
    is MosaicBERT's. Agrees with transformers' BertForPreTraining and with DNABERT-2's own code,
    in its plain attention, to 5e-5.
    """

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.config = config
        self.width = config.width
        eps, is_learned = config.layer_norm_eps, config.positions == "learned"
        self.embedding = TokenEmbedding(
            config.vocabulary_size,
            config.width,
            config.mask_id,
            num_positions=config.context if is_learned else 0,
            num_types=config.num_types,
            norm_eps=eps,
        )
        # Made when first asked for: a network is built without memory, and a formula is no weight.
        self._slopes: dict[torch.device, Tensor] = {}
        sizes = (config.width, config.num_heads, config.ffn_width, eps)
        self.blocks = nn.ModuleList(
            PostNormBlock(*sizes, config.feed_forward) for _ in range(config.num_layers)
        )
        self.language_model_head = (
            LanguageModelHead(
                config.width, config.vocabulary_size, eps, config.tied_head, config.head_activation
            )
            if config.language_model_head
            else None
        )
        self.contact_head: None = None
        self.pooler = nn.Linear(config.width, config.width) if config.pooler else None
        self.next_sentence_head = nn.Linear(config.width, 2) if config.next_sentence_head else None

    def forward(self, tokens_N: Tensor, layout: Layout, types_N: Tensor | None = None) -> Tensor:
        """Hidden states (N, D) of the last layer; all tokens are of type 0 without `types_N`."""
        x_ND: Tensor = self.embedding(tokens_N, layout, types_N)
        slopes_H = self._find_slopes(x_ND.device)
        for block in self.blocks:
            x_ND = block(x_ND, layout, slopes_H)
        return x_ND

    def trace(
        self,
        tokens_N: Tensor,
        layout: Layout,
        with_maps: bool = False,
        types_N: Tensor | None = None,
    ) -> EncoderOutput:
        """The same, keeping every layer's output and, if asked, every attention map (exact)."""
        maps: list[list[Tensor]] = []
        layers = [self.embedding(tokens_N, layout, types_N)]
        slopes_H = self._find_slopes(layers[0].device)
        for block in self.blocks:
            layers.append(block(layers[-1], layout, slopes_H, maps if with_maps else None))
        return EncoderOutput(layers[-1], layers, maps)

    def logits(self, hidden_ND: Tensor) -> Tensor:
        """Scores of every token (N, V)."""
        if self.language_model_head is None:
            raise ValueError("this model has no language-model head")
        scores: Tensor = self.language_model_head(hidden_ND, self.embedding.tokens.weight)
        return scores

    def contacts(self, maps: list[list[Tensor]], tokens: list[Tensor]) -> list[Tensor]:
        """No model of this family was trained for contacts."""
        raise ValueError("this model has no contact head")

    def pooled(self, first_SD: Tensor) -> Tensor:
        """What the pooler makes of the hidden states of [CLS] (S, D)."""
        if self.pooler is None:
            raise ValueError("this model has no pooler")
        return torch.tanh(self.pooler(first_SD))

    def _find_slopes(self, device: torch.device) -> Tensor | None:
        if self.config.positions != "alibi":
            return None
        if device not in self._slopes:
            self._slopes[device] = alibi_slopes(self.config.num_heads).to(device)
        return self._slopes[device]
