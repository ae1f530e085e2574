"""The pre-norm encoders: ESM-1b, ESM-1v, ESM-2 and both generations of Nucleotide Transformer."""

# Letters: N leading shape ((T,) packed, (S, L) padded), R rows asked for, D width, V vocabulary.
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from torch import Tensor, nn

from lexome.layers.block import Block
from lexome.layers.embedding import TokenEmbedding
from lexome.layers.heads import ContactHead, LanguageModelHead, stack_maps
from lexome.layers.layout import Layout, PackedLayout
from lexome.layers.rotary import Rotary


@dataclass(frozen=True, kw_only=True)
class EncoderConfig:
    """Sizes and switches of an encoder; the defaults are ESM-2's.

    | | positions | norm of the embeddings | feed-forward | token dropout | head |
    |---|---|---|---|---|---|
    | ESM-2 | rotary | no | gelu | yes | tied |
    | ESM-1b | learned | yes | gelu | yes | tied |
    | ESM-1v | learned | no | gelu | yes | tied |
    | Nucleotide Transformer v1 | learned | no | gelu | yes | its own |
    | Nucleotide Transformer v2 | rotary | no | swiglu | no | its own |
    """

    num_layers: int
    width: int
    num_heads: int
    ffn_width: int
    vocabulary_size: int = 33
    mask_id: int = 32
    eos_id: int | None = 2  # None where no <eos> is appended
    pad_id: int = 1
    token_dropout: bool = True
    layer_norm_eps: float = 1e-5
    language_model_head: bool = True
    contact_head: bool = True
    dropout: float = 0.0
    context: int = 1024  # tokens, <cls> and <eos> among them
    positions: Literal["rotary", "learned"] = "rotary"
    embedding_norm: bool = False
    feed_forward: str = "gelu"
    tied_head: bool = True

    def __post_init__(self) -> None:
        pairs = 2 if self.positions == "rotary" else 1
        if self.width % self.num_heads or (self.width // self.num_heads) % pairs:
            raise ValueError(
                f"width {self.width} must split into {self.num_heads} heads of an even width"
            )


class EncoderOutput(NamedTuple):
    """What a forward pass keeps when asked to."""

    hidden_ND: Tensor  # after the final norm
    layers: list[Tensor]  # embeddings first, then each block's output; the last one normed
    maps: list[list[Tensor]]  # [layer][sequence] -> (H, T, T)


class Encoder(nn.Module):
    """Token embedding, blocks, final norm; language-model and contact heads where trained.

    Written against a `Layout`, so packed and padded tensors run through the same lines.
    Source: Rives et al. 2021 (ESM-1b), Meier et al. 2021 (ESM-1v), Lin et al. 2023 (ESM-2), Dalla-
    Torre et al. 2023 (Nucleotide Transformer); agrees with transformers' EsmForMaskedLM to 5e-5.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.width = config.width
        eps = config.layer_norm_eps
        is_learned = config.positions == "learned"
        # fairseq counts positions from behind the padding's id, and so do the tables on disk.
        first = config.pad_id + 1
        self.embedding = TokenEmbedding(
            config.vocabulary_size,
            config.width,
            config.mask_id,
            config.token_dropout,
            num_positions=config.context + first if is_learned else 0,
            first_position=first,
            norm_eps=eps if config.embedding_norm else None,
        )
        self.rotary = None if is_learned else Rotary(config.width // config.num_heads)
        sizes = (config.width, config.num_heads, config.ffn_width, eps, config.dropout)
        self.blocks = nn.ModuleList(
            Block(*sizes, config.feed_forward) for _ in range(config.num_layers)
        )
        self.final_norm = nn.LayerNorm(config.width, eps=eps)
        self.language_model_head = (
            LanguageModelHead(config.width, config.vocabulary_size, eps, config.tied_head)
            if config.language_model_head
            else None
        )
        self.contact_head = (
            ContactHead(config.num_layers * config.num_heads) if config.contact_head else None
        )

    def forward(self, tokens_N: Tensor, layout: Layout) -> Tensor:
        """Hidden states (N, D) after the final norm."""
        turn = self.rotary(layout.positions_N) if self.rotary is not None else None
        x_ND = self.embedding(tokens_N, layout)
        for block in self.blocks:
            x_ND = block(x_ND, layout, turn)
        hidden_ND: Tensor = self.final_norm(x_ND)
        return hidden_ND

    def read_some(
        self, tokens_T: Tensor, layout: PackedLayout, rows_R: Tensor, counts: Sequence[int]
    ) -> Tensor:
        """Hidden states (R, D) of some tokens, `counts` of each sequence in order.

        The same as those rows of `forward`; the last layer is computed at them alone.
        """
        turn = self.rotary(layout.positions_N) if self.rotary is not None else None
        x_TD = self.embedding(tokens_T, layout)
        for block in self.blocks[:-1]:
            x_TD = block(x_TD, layout, turn)
        last: Any = self.blocks[-1]
        hidden_RD: Tensor = self.final_norm(last.read_some(x_TD, layout, turn, rows_R, counts))
        return hidden_RD

    def trace(self, tokens_N: Tensor, layout: Layout, with_maps: bool = False) -> EncoderOutput:
        """The same, keeping every layer's output and, if asked, every attention map (exact)."""
        turn = self.rotary(layout.positions_N) if self.rotary is not None else None
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
        if self.contact_head is None or self.config.eos_id is None:
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
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)
