"""The pre-norm rotary encoder of ESM-2."""

# Letters: N leading shape ((T,) packed, (S, L) padded), D width, V vocabulary.
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor, nn

from lexome.layers.block import Block
from lexome.layers.embedding import TokenEmbedding
from lexome.layers.heads import ContactHead, LanguageModelHead, stack_maps
from lexome.layers.layout import Layout
from lexome.layers.rotary import Rotary


@dataclass(frozen=True, kw_only=True)
class EncoderConfig:
    """Sizes and switches of an encoder; the defaults are ESM-2's."""

    num_layers: int
    width: int
    num_heads: int
    ffn_width: int
    vocabulary_size: int = 33
    mask_id: int = 32
    eos_id: int = 2
    token_dropout: bool = True
    layer_norm_eps: float = 1e-5
    language_model_head: bool = True
    contact_head: bool = True
    dropout: float = 0.0
    context: int = 1024  # tokens, <cls> and <eos> among them

    def __post_init__(self) -> None:
        if self.width % self.num_heads or (self.width // self.num_heads) % 2:
            raise ValueError(
                f"width {self.width} must split into {self.num_heads} heads of an even width"
            )


class EncoderOutput(NamedTuple):
    """What a forward pass keeps when asked to."""

    hidden_ND: Tensor  # after the final norm
    layers: list[Tensor]  # embeddings first, then each block's output; the last one normed
    maps: list[list[Tensor]]  # [layer][sequence] -> (H, T, T)


class Encoder(nn.Module):
    """ESM-2: token embedding, blocks, final norm; language-model and contact heads where trained.

    Written against a `Layout`, so packed and padded tensors run through the same lines.
    Source: Lin et al. 2023 (ESM-2); agrees with transformers' EsmForMaskedLM to 5e-5.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.width = config.width
        eps = config.layer_norm_eps
        self.embedding = TokenEmbedding(
            config.vocabulary_size, config.width, config.mask_id, config.token_dropout
        )
        self.rotary = Rotary(config.width // config.num_heads)
        self.blocks = nn.ModuleList(
            Block(config.width, config.num_heads, config.ffn_width, eps, config.dropout)
            for _ in range(config.num_layers)
        )
        self.final_norm = nn.LayerNorm(config.width, eps=eps)
        self.language_model_head = (
            LanguageModelHead(config.width, config.vocabulary_size, eps)
            if config.language_model_head
            else None
        )
        self.contact_head = (
            ContactHead(config.num_layers * config.num_heads) if config.contact_head else None
        )

    def forward(self, tokens_N: Tensor, layout: Layout) -> Tensor:
        """Hidden states (N, D) after the final norm."""
        turn = self.rotary(layout.positions_N)
        x_ND = self.embedding(tokens_N, layout)
        for block in self.blocks:
            x_ND = block(x_ND, layout, turn)
        hidden_ND: Tensor = self.final_norm(x_ND)
        return hidden_ND

    def trace(self, tokens_N: Tensor, layout: Layout, with_maps: bool = False) -> EncoderOutput:
        """The same, keeping every layer's output and, if asked, every attention map (exact)."""
        turn = self.rotary(layout.positions_N)
        maps: list[list[Tensor]] = []
        layers = [self.embedding(tokens_N, layout)]
        for block in self.blocks:
            layers.append(block(layers[-1], layout, turn, maps if with_maps else None))
        layers[-1] = self.final_norm(layers[-1])
        return EncoderOutput(layers[-1], layers, maps)

    def logits(self, hidden_ND: Tensor) -> Tensor:
        """Scores of every token (N, V)."""
        if self.language_model_head is None:
            raise ValueError("this model has no language-model head")
        scores: Tensor = self.language_model_head(hidden_ND, self.embedding.tokens.weight)
        return scores

    def contacts(self, maps: list[list[Tensor]], tokens: list[Tensor]) -> list[Tensor]:
        """Contact probabilities (L, L) of each sequence from the maps of `trace`."""
        if self.contact_head is None:
            raise ValueError("this model has no contact head")
        return [
            self.contact_head(
                stack_maps([layer[i] for layer in maps]), tokens[i], self.config.eos_id
            )
            for i in range(len(tokens))
        ]

    def initialize(self, std: float = 0.02) -> None:
        """Random weights to train from: normal(0, 0.02) matrices, zero biases, unit norms."""
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=std)
            if isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)
