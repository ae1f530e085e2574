"""The pre-norm decoders: GPT-2 (ProtGPT2, ZymCTRL), ProGen2, and plain ones to train anew."""

# Letters: N leading shape ((T,) packed, (S, L) padded), B rows, T new tokens of each, D width,
#          V vocabulary.
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from lexome.layers.block import DecoderBlock
from lexome.layers.cached import attend_cached, begin_reading
from lexome.layers.heads import TokenScores
from lexome.layers.layout import Layout
from lexome.layers.rotary import Rotary, Turn
from lexome.layers.state import State, empty_state


@dataclass(frozen=True, kw_only=True)
class DecoderConfig:
    """Sizes and switches of a decoder; the defaults are GPT-2's.

    | | positions | block | biases of attention | head |
    |---|---|---|---|---|
    | GPT-2, ProtGPT2, ZymCTRL | learned | one half after the other | yes | tied |
    | ProGen2 | rotary, in pairs, part of a head | both halves at once | no | its own, biased |
    """

    num_layers: int
    width: int
    num_heads: int
    ffn_width: int
    vocabulary_size: int
    head_size: int | None = None  # rows of the head, where not those of the embedding
    context: int = 1024  # tokens
    layer_norm_eps: float = 1e-5
    activation: str = "gelu_new"
    positions: Literal["learned", "rotary"] = "learned"
    turned_width: int | None = None  # channels of a head that rotary positions turn; None: all
    interleaved: bool = False
    parallel: bool = False
    attention_bias: bool = True
    tied_head: bool = True
    head_bias: bool = False
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if self.width % self.num_heads:
            raise ValueError(f"width {self.width} must split into {self.num_heads} heads")
        turned = self.turned_width or self.width // self.num_heads
        if self.positions == "rotary" and (turned % 2 or turned > self.width // self.num_heads):
            raise ValueError(f"{turned} channels of a head cannot be turned in pairs")
        if self.tied_head and self.head_size not in (None, self.vocabulary_size):
            raise ValueError("a tied head has the rows of the embedding")


class DecoderOutput(NamedTuple):
    """What a forward pass keeps when asked to."""

    hidden_ND: Tensor  # after the final norm
    layers: list[Tensor]  # embeddings first, then each block's output; the last one normed
    maps: list[list[Tensor]]  # [layer][sequence] -> (H, T, T)


class Decoder(nn.Module):
    """Token embedding, causal blocks, final norm and a head.

    Two ways that agree: `forward` reads whole sequences, `extend` goes on from a state.
    Source: Radford et al. 2019 (GPT-2), Nijkamp et al. 2023 (ProGen2); agrees with transformers'
    GPT2LMHeadModel and salesforce/progen to 1e-4.
    """

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.config, self.width = config, config.width
        self.tokens = nn.Embedding(config.vocabulary_size, config.width)
        is_learned = config.positions == "learned"
        self.positions = nn.Embedding(config.context, config.width) if is_learned else None
        turned = config.turned_width or config.width // config.num_heads
        self.rotary = None if is_learned else Rotary(turned, interleaved=config.interleaved)
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(_make_block(config) for _ in range(config.num_layers))
        self.final_norm = nn.LayerNorm(config.width, eps=config.layer_norm_eps)
        size = config.head_size or config.vocabulary_size
        self.language_model_head = TokenScores(
            config.width, size, config.tied_head, config.head_bias
        )
        self.contact_head = None

    def forward(self, tokens_N: Tensor, layout: Layout) -> Tensor:
        """Hidden states (N, D) after the final norm; every sequence by itself."""
        x_ND, turn = self._embed(tokens_N, layout.positions_N)
        for block in self.blocks:
            x_ND = block(x_ND, layout, turn)
        hidden_ND: Tensor = self.final_norm(x_ND)
        return hidden_ND

    def trace(self, tokens_N: Tensor, layout: Layout, with_maps: bool = False) -> DecoderOutput:
        """The same, keeping every layer's output and, if asked, every attention map (exact)."""
        x_ND, turn = self._embed(tokens_N, layout.positions_N)
        maps: list[list[Tensor]] = []
        layers = [x_ND]
        for block in self.blocks:
            layers.append(block(layers[-1], layout, turn, maps if with_maps else None))
        layers[-1] = self.final_norm(layers[-1])
        return DecoderOutput(layers[-1], layers, maps)

    def logits(self, hidden_ND: Tensor) -> Tensor:
        """Scores of every token (N, V)."""
        scores: Tensor = self.language_model_head(hidden_ND, self.tokens.weight)
        return scores

    def start(self, rows: int, capacity: int) -> State:
        """Rows that have seen nothing, with room for `capacity` tokens each."""
        weight, heads = self.tokens.weight, self.config.num_heads
        axes = (heads, self.width // heads)
        shapes = dict.fromkeys(("keys", "values"), (axes, weight.dtype))
        return empty_state(rows, capacity, [shapes] * self.config.num_layers, weight.device)

    def extend(self, tokens_BT: Tensor, state: State) -> Tensor:
        """Hidden states (B, T, D) of further tokens of every row, which the state then holds."""
        reading = begin_reading(state, tokens_BT.shape[1])
        x_BTD, turn = self._embed(tokens_BT, reading.positions_BT)
        for layer, cache in zip(self.blocks, state.layers, strict=True):
            block: Any = layer
            normed_BTD, query, key, value = block.enter(x_BTD, turn)
            context = attend_cached(query, key, value, cache, reading).flatten(-2)
            x_BTD = block.leave(x_BTD, normed_BTD, context)
        state.lengths_B += tokens_BT.shape[1]
        hidden_BTD: Tensor = self.final_norm(x_BTD)
        return hidden_BTD

    def _embed(self, tokens_N: Tensor, positions_N: Tensor) -> tuple[Tensor, Turn | None]:
        x_ND = self.tokens(tokens_N)
        if self.positions is not None:
            # padding of the plain layout lies behind the end, and nothing looks at it
            x_ND = x_ND + self.positions(positions_N)
        turn = self.rotary(positions_N) if self.rotary is not None else None
        return self.dropout(x_ND), turn

    def initialize(self, std: float = 0.02) -> None:
        """Random weights to train from, as GPT-2's: smaller where the halves are added."""
        for name, module in self.named_modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                is_last = name.endswith(("attention.output", "feed_forward.down"))
                scale = (2 * self.config.num_layers) ** -0.5 if is_last else 1.0
                nn.init.normal_(module.weight, std=std * scale)
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)
        head = self.language_model_head
        if head.rows is not None:
            nn.init.normal_(head.rows, std=std)
        if head.bias is not None:
            torch.nn.init.zeros_(head.bias)


def _make_block(config: DecoderConfig) -> DecoderBlock:
    return DecoderBlock(
        config.width,
        config.num_heads,
        config.ffn_width,
        config.layer_norm_eps,
        dropout=config.dropout,
        feed_forward=config.activation,
        parallel=config.parallel,
        attention_bias=config.attention_bias,
    )
