"""HyenaDNA: implicit long convolutions over single bases, up to a million of them."""

# Letters: N leading shape ((T,) packed, (S, L) padded), B rows, T tokens, D width, V vocabulary.
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from lexome.errors import InputError
from lexome.layers.feed_forward import FeedForward
from lexome.layers.hyena import ImplicitMixer
from lexome.layers.layout import Layout, PackedLayout
from lexome.layers.state import State, empty_state
from lexome.layers.unembedding import Unembedding


@dataclass(frozen=True, kw_only=True)
class HyenaConfig:
    """Sizes and switches; the defaults are those of every published HyenaDNA.

    Args:
        context: tokens of the longest sequence; the filters end there.
        filter_order: width of the networks that draw the filters.
        filter_inputs: numbers that describe a time to them.
        vocabulary_size: rows of the embedding; 12 tokens, filled up to 16.
    """

    num_layers: int
    width: int
    inner_width: int
    context: int
    filter_order: int = 64
    filter_inputs: int = 5
    num_inner: int = 2
    vocabulary_size: int = 16
    layer_norm_eps: float = 1e-5
    tied_head: bool = False

    @property
    def positions(self) -> str:
        """The filters are learned up to the context, so nothing can stand beyond it."""
        return "learned"


class HyenaOutput(NamedTuple):
    """What a forward pass keeps when asked to."""

    hidden_ND: Tensor  # after the final norm
    layers: list[Tensor]  # embeddings first, then each block's output; the last one normed
    maps: list[list[Tensor]]  # empty: nothing attends


class HyenaBlock(nn.Module):
    """x + mixer(norm x), then x + feed-forward(norm x); the sum in fp32 in every dtype."""

    def __init__(self, config: HyenaConfig) -> None:
        super().__init__()
        width, eps = config.width, config.layer_norm_eps
        self.mixer_norm = nn.LayerNorm(width, eps=eps)
        sizes = (config.filter_order, config.filter_inputs, config.num_inner)
        self.mixer = ImplicitMixer(width, config.context, *sizes)
        self.feed_forward_norm = nn.LayerNorm(width, eps=eps)
        self.feed_forward = FeedForward(width, config.inner_width, "gelu_new")

    def forward(self, x_ND: Tensor, layout: Layout) -> Tensor:
        """`x_ND` after both halves."""
        dtype = self.mixer_norm.weight.dtype
        x_ND = x_ND + self.mixer(self.mixer_norm(x_ND.to(dtype)), layout).float()
        fed_ND = self.feed_forward(self.feed_forward_norm(x_ND.to(dtype)))
        out_ND: Tensor = x_ND + fed_ND.float()
        return out_ND


class Hyena(nn.Module):
    """Token embedding, blocks, final norm, head.

    Source: Nguyen et al. 2023 (HyenaDNA); agrees with HazyResearch/hyena-dna to 2e-4 in fp32.
    """

    contact_head = None
    attends = False  # there are no attention maps

    def __init__(self, config: HyenaConfig) -> None:
        super().__init__()
        self.config = config
        self.width = config.width
        self.embedding = nn.Embedding(config.vocabulary_size, config.width)
        self.blocks: Any = nn.ModuleList(HyenaBlock(config) for _ in range(config.num_layers))
        self.final_norm = nn.LayerNorm(config.width, eps=config.layer_norm_eps)
        self.language_model_head = Unembedding(self.embedding, config.tied_head)

    def forward(self, tokens_N: Tensor, layout: Layout) -> Tensor:
        """Hidden states (N, D) after the final norm.

        Raises:
            InputError: a sequence beyond the context, for which there are no filters.
        """
        x_ND = self.embed(tokens_N, layout)
        for block in self.blocks:
            x_ND = block(x_ND, layout)
        return self._finish(x_ND)

    def trace(self, tokens_N: Tensor, layout: Layout, with_maps: bool = False) -> HyenaOutput:
        """The same, keeping every layer's output.

        Raises:
            InputError: maps were asked for, or a sequence beyond the context.
        """
        if with_maps:
            raise InputError(
                "attentions", "HyenaDNA, which convolves", "a model that attends", "another output"
            )
        layers = [self.embed(tokens_N, layout)]
        for block in self.blocks:
            layers.append(block(layers[-1], layout))
        layers[-1] = self._finish(layers[-1])
        return HyenaOutput(layers[-1], layers, [])

    def embed(self, tokens_N: Tensor, layout: Layout) -> Tensor:
        """(N,) ids -> (N, D), fp32; padding slots are zero."""
        if max(layout.lengths) > self.config.context:
            raise InputError(
                "HyenaDNA",
                f"a sequence of {max(layout.lengths):,} tokens",
                f"at most {self.config.context:,}, where its filters end",
                "windows of the sequence, or a model with a longer context",
            )
        x_ND: Tensor = self.embedding(tokens_N).float()
        return x_ND * layout.real_N[..., None]

    def logits(self, hidden_ND: Tensor) -> Tensor:
        """Scores of every token (N, V)."""
        scores: Tensor = self.language_model_head(hidden_ND)
        return scores

    def start(self, rows: int, capacity: int) -> State:
        """Rows that have seen nothing; what is remembered of one are its tokens."""
        tokens = {"tokens": ((), torch.int64)}
        device = self.embedding.weight.device
        return empty_state(rows, capacity, [tokens], device, caches=("tokens",))

    def extend(self, tokens_BT: Tensor, state: State) -> Tensor:
        """Hidden states (B, T, D) of further tokens of every row, computed from its first one on.

        The filters have no finite state. Rows run one by one, so that none can change another.
        """
        known_BC, new = state.layers[0]["tokens"], tokens_BT.shape[1]
        lengths = [n + new for n in state.lengths_B.tolist()]
        if max(lengths) > state.capacity:
            raise ValueError(f"{max(lengths)} tokens; the state has room for {state.capacity}")
        hidden = []
        for row, end in enumerate(lengths):
            known_BC[row, end - new : end] = tokens_BT[row]
            layout = PackedLayout([end], tokens_BT.device)
            hidden.append(self(known_BC[row, :end], layout)[end - new :])
        state.lengths_B += new
        return torch.stack(hidden)

    def initialize(self, std: float = 0.02) -> None:
        """Random weights to train from; the filters' networks begin as torch makes linears."""
        for name, module in self.named_modules():
            if isinstance(module, nn.Linear | nn.Embedding) and "long_filter" not in name:
                writes = name.endswith((".output", ".down"))
                scale = (2 * self.config.num_layers) ** -0.5 if writes else 1.0
                nn.init.normal_(module.weight, std=std * scale)
                if isinstance(module, nn.Linear) and module.bias is not None:
                    nn.init.zeros_(module.bias)
            if isinstance(module, Unembedding) and module.rows is not None:
                nn.init.normal_(module.rows, std=std)

    def _finish(self, x_ND: Tensor) -> Tensor:
        hidden_ND: Tensor = self.final_norm(x_ND.to(self.embedding.weight.dtype))
        return hidden_ND
