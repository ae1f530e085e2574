"""StripedHyena: long convolutions with a finite state, and attention in a few layers (Evo-1)."""

# Letters: N leading shape ((T,) packed, (S, L) padded), B rows, T tokens, D width, V vocabulary.
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from lexome.layers.attention import Attention
from lexome.layers.causal_attention import attend_cache, attend_causal, causal_maps
from lexome.layers.feed_forward import GatedFeedForward
from lexome.layers.hyena import ModalMixer
from lexome.layers.layout import Layout
from lexome.layers.rms_norm import RMSNorm
from lexome.layers.rotary import Rotary, Turn
from lexome.layers.state import State, empty_state
from lexome.layers.unembedding import Unembedding


@dataclass(frozen=True, kw_only=True)
class StripedHyenaConfig:
    """Sizes and switches; the defaults are Evo-1's.

    Args:
        attention_layers: which layers attend; the others convolve. None at all is allowed.
        column_split: channels of a Hyena layer lie head by head, (x2, x1, v) in each, as in Evo.
        interpolation: positions are divided by it before they become angles; 16 in Evo-1 131k.
        constrained_poles: filters that cannot grow, for training from nothing.
    """

    num_layers: int
    width: int
    num_heads: int
    inner_width: int
    attention_layers: tuple[int, ...] = ()
    num_states: int = 8
    vocabulary_size: int = 512
    context: int = 8192
    norm_eps: float = 1e-6
    rotary_base: float = 10000.0
    interpolation: float = 1.0
    column_split: bool = True
    tied_head: bool = True
    constrained_poles: bool = False

    def __post_init__(self) -> None:
        if self.width % self.num_heads or (self.attention_layers and self.head_width % 2):
            raise ValueError(
                f"width {self.width} must split into {self.num_heads} heads of an even width"
            )
        if not set(self.attention_layers) <= set(range(self.num_layers)):
            raise ValueError(
                f"attention in the layers {self.attention_layers} of {self.num_layers} layers"
            )

    @property
    def head_width(self) -> int:
        """Channels of a head."""
        return self.width // self.num_heads

    @property
    def positions(self) -> str:
        """How the model knows where a token stands."""
        return "rotary" if self.attention_layers else "none"


class StripedHyenaOutput(NamedTuple):
    """What a forward pass keeps when asked to."""

    hidden_ND: Tensor  # after the final norm
    layers: list[Tensor]  # embeddings first, then each block's output; the last one normed
    maps: list[list[Tensor]]  # [attention layer][sequence] -> (H, T, T)


class StripedBlock(nn.Module):
    """x + mixer(norm x), then x + feed-forward(norm x); the mixer convolves or attends."""

    def __init__(self, config: StripedHyenaConfig, attends: bool) -> None:
        super().__init__()
        width, eps = config.width, config.norm_eps
        self.mixer_norm = RMSNorm(width, eps)
        if attends:
            self.mixer: Any = Attention(width, config.num_heads)
        else:
            groups = config.num_heads if config.column_split else 1
            self.mixer = ModalMixer(width, config.num_states, groups, config.constrained_poles)
        self.attends = attends
        self.feed_forward_norm = RMSNorm(width, eps)
        self.feed_forward = GatedFeedForward(width, config.inner_width, "gelu", down_bias=False)

    def forward(
        self,
        x_ND: Tensor,
        layout: Layout,
        turn: Turn | None,
        maps: list[list[Tensor]] | None = None,
    ) -> Tensor:
        """`x_ND` after both halves; an attention layer appends its maps where asked."""
        normed_ND = self.mixer_norm(x_ND)
        if not self.attends:
            return self.feed(x_ND + self.mixer(normed_ND, layout))
        query_NHd, key_NHd, value_NHd = self.mixer.project(normed_ND, turn)
        if maps is not None:
            maps.append(causal_maps(query_NHd, key_NHd, layout))
        context_NHd = attend_causal(query_NHd, key_NHd, value_NHd, layout)
        return self.feed(x_ND + self.mixer.output(context_NHd.flatten(-2)))

    def extend(
        self, x_BTD: Tensor, turn: Turn | None, state: dict[str, Tensor], lengths: list[int]
    ) -> Tensor:
        """Tokens behind those that the rows' state knows; `lengths` are the rows' before them."""
        normed_BTD = self.mixer_norm(x_BTD)
        if not self.attends:
            return self.feed(x_BTD + self.mixer.extend(normed_BTD, state))
        query_BTHd, key_BTHd, value_BTHd = self.mixer.project(normed_BTD, turn)
        ends = [n + x_BTD.shape[1] for n in lengths]
        for row, (start, end) in enumerate(zip(lengths, ends, strict=True)):
            state["keys"][row, start:end] = key_BTHd[row]
            state["values"][row, start:end] = value_BTHd[row]
        context_BTHd = attend_cache(query_BTHd, state["keys"], state["values"], ends)
        return self.feed(x_BTD + self.mixer.output(context_BTHd.flatten(-2)))

    def feed(self, x_ND: Tensor) -> Tensor:
        """The second half."""
        out_ND: Tensor = x_ND + self.feed_forward(self.feed_forward_norm(x_ND))
        return out_ND


class StripedHyena(nn.Module):
    """Token embedding, blocks, final norm; the head's rows are the embedding's, or its own.

    Source: Nguyen et al. 2024 (Evo), Poli et al. 2023; agrees with PyPI's stripedhyena 0.2.2 in
    fp32, but for its defects in generation (see `ShortFilter`).
    """

    contact_head = None

    def __init__(self, config: StripedHyenaConfig) -> None:
        super().__init__()
        self.config = config
        self.width = config.width
        self.attends = bool(config.attention_layers)  # otherwise there are no attention maps
        self.embedding = nn.Embedding(config.vocabulary_size, config.width)
        self.rotary: Rotary | None = None
        if config.attention_layers:
            self.rotary = Rotary(
                config.head_width, config.rotary_base, interpolation=config.interpolation
            )
        self.blocks: Any = nn.ModuleList(
            StripedBlock(config, i in config.attention_layers) for i in range(config.num_layers)
        )
        self.final_norm = RMSNorm(config.width, config.norm_eps)
        self.language_model_head = Unembedding(self.embedding, config.tied_head)

    def forward(self, tokens_N: Tensor, layout: Layout) -> Tensor:
        """Hidden states (N, D) after the final norm."""
        turn = self.rotary(layout.positions_N) if self.rotary is not None else None
        x_ND = self.embed(tokens_N, layout)
        for block in self.blocks:
            x_ND = block(x_ND, layout, turn)
        hidden_ND: Tensor = self.final_norm(x_ND)
        return hidden_ND

    def trace(
        self, tokens_N: Tensor, layout: Layout, with_maps: bool = False
    ) -> StripedHyenaOutput:
        """The same, keeping every layer's output and, if asked, the attention layers' maps."""
        turn = self.rotary(layout.positions_N) if self.rotary is not None else None
        maps: list[list[Tensor]] = []
        layers = [self.embed(tokens_N, layout)]
        for block in self.blocks:
            layers.append(block(layers[-1], layout, turn, maps if with_maps else None))
        layers[-1] = self.final_norm(layers[-1])
        return StripedHyenaOutput(layers[-1], layers, maps)

    def embed(self, tokens_N: Tensor, layout: Layout) -> Tensor:
        """(N,) ids -> (N, D); padding slots are zero."""
        x_ND: Tensor = self.embedding(tokens_N)
        return x_ND * layout.real_N[..., None]

    def logits(self, hidden_ND: Tensor) -> Tensor:
        """Scores of every token (N, V)."""
        scores: Tensor = self.language_model_head(hidden_ND)
        return scores

    def start(self, rows: int, capacity: int) -> State:
        """Rows that have seen nothing, with room for `capacity` tokens.

        Only attention layers need that room; `fir` are the last two projections of a Hyena layer,
        oldest first, and `iir` is the state of its long filters, in fp32 always.
        """
        config, dtype = self.config, self.embedding.weight.dtype
        cached = ((config.num_heads, config.head_width), dtype)
        attention = {"keys": cached, "values": cached}
        hyena = {
            "fir": ((3 * config.width, 2), dtype),
            "iir": ((config.width, config.num_states), torch.complex64),
        }
        shapes = [attention if block.attends else hyena for block in self.blocks]
        return empty_state(rows, capacity, shapes, self.embedding.weight.device)

    def extend(self, tokens_BT: Tensor, state: State) -> Tensor:
        """Hidden states (B, T, D) of further tokens of every row, whose state goes on with them."""
        lengths, new = state.lengths_B.tolist(), tokens_BT.shape[1]
        if max(lengths) + new > state.capacity:
            raise ValueError(
                f"{max(lengths) + new} tokens; the state has room for {state.capacity}"
            )
        turn = None
        if self.rotary is not None:
            steps_T = torch.arange(new, device=tokens_BT.device)
            turn = self.rotary(state.lengths_B[:, None] + steps_T)
        x_BTD = self.embedding(tokens_BT)
        for block, layer in zip(self.blocks, state.layers, strict=True):
            x_BTD = block.extend(x_BTD, turn, layer, lengths)
        state.lengths_B += new
        hidden_BTD: Tensor = self.final_norm(x_BTD)
        return hidden_BTD

    def initialize(self, std: float = 0.02) -> None:
        """Random weights to train from.

        Normal matrices, those that write to the residual stream smaller by the number of them;
        zero biases; filters by `ModalFilter.initialize`.
        """
        for name, module in self.named_modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                writes = name.endswith((".output", ".down"))
                scale = (2 * self.config.num_layers) ** -0.5 if writes else 1.0
                nn.init.normal_(module.weight, std=std * scale)
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)
            if isinstance(module, Unembedding) and module.rows is not None:
                nn.init.normal_(module.rows, std=std)
