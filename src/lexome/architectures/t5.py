"""T5, an encoder and a decoder that reads from it: ProtT5, ProstT5 and Ankh."""

# Letters: N leading shape ((T,) packed, (S, L) padded), B rows, T new tokens of each, D width,
#          V vocabulary, H heads, d head width, W distances (layers/relative.py).
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from lexome.architectures.encoder import EncoderOutput
from lexome.layers.cached import cache_dtype
from lexome.layers.heads import TokenScores
from lexome.layers.layout import Layout
from lexome.layers.relative import RelativeBias
from lexome.layers.state import State, empty_state
from lexome.layers.t5_block import BlockSizes, Rows, T5DecoderBlock, T5EncoderBlock


@dataclass(frozen=True, kw_only=True)
class T5Config:
    """Sizes and switches; the defaults are ProtT5's. Ankh's feed-forward is gated, its head own."""

    num_layers: int
    width: int
    num_heads: int
    head_width: int  # heads together may be wider than the model
    ffn_width: int
    vocabulary_size: int
    decoder: bool = True  # some files hold the encoder alone
    decoder_layers: int = 0
    feed_forward: str = "relu"  # or gelu, gelu_new, silu; gated-gelu_new, gated-silu, ...
    num_buckets: int = 32
    max_distance: int = 128
    norm_eps: float = 1e-6
    head: Literal["tied", "own", "none"] = "tied"
    scaled_head: bool = True  # whether what goes into the head is divided by sqrt(width)
    pad_id: int = 0
    eos_id: int = 1
    start_id: int = 0  # what a decoder's text begins with
    context: int = 512  # tokens of the training; positions are relative and end nowhere
    positions: Literal["relative"] = "relative"

    def __post_init__(self) -> None:
        if self.num_buckets < 4 or self.max_distance <= self.num_buckets // 2:
            raise ValueError(
                f"{self.num_buckets} buckets up to a distance of {self.max_distance}: "
                "at least 4 are needed, and half of them for a distance each"
            )


class T5Encoder(nn.Module):
    """Blocks and the final norm; positions are numbers by distance, shared by all blocks."""

    def __init__(self, config: T5Config) -> None:
        super().__init__()
        self.relative = RelativeBias(
            config.num_buckets, config.num_heads, config.max_distance, both_ways=True
        )
        sizes = _sizes(config)
        self.blocks = nn.ModuleList(T5EncoderBlock(sizes) for _ in range(config.num_layers))
        self.final_norm = nn.RMSNorm(config.width, eps=config.norm_eps)


class T5Decoder(nn.Module):
    """The same for a text that grows, and the head."""

    def __init__(self, config: T5Config) -> None:
        super().__init__()
        self.relative = RelativeBias(
            config.num_buckets, config.num_heads, config.max_distance, both_ways=False
        )
        sizes = _sizes(config)
        self.blocks = nn.ModuleList(T5DecoderBlock(sizes) for _ in range(config.decoder_layers))
        self.final_norm = nn.RMSNorm(config.width, eps=config.norm_eps)
        self.head: nn.Module | None = None
        if config.head != "none":
            is_tied = config.head == "tied"
            self.head = TokenScores(config.width, config.vocabulary_size, is_tied, bias=False)

    def each_block(self) -> Iterator[T5DecoderBlock]:
        """The blocks, first to last."""
        for block in self.blocks:
            assert isinstance(block, T5DecoderBlock)
            yield block


class T5(nn.Module):
    """`forward` is the encoder; `start_from` and `extend` are the decoder, for rows of a `State`.

    Source: Raffel et al. 2020 (T5), Elnaggar et al. 2022 (ProtT5), Heinzinger et al. 2023
    (ProstT5), Elnaggar et al. 2023 (Ankh); agrees with transformers' T5ForConditionalGeneration
    to 1e-4.
    """

    def __init__(self, config: T5Config) -> None:
        super().__init__()
        self.config = config
        self.width = config.width
        self.embedding = nn.Embedding(config.vocabulary_size, config.width)
        self.encoder = T5Encoder(config)
        self.decoder = T5Decoder(config) if config.decoder else None
        # Of the encoder's tokens: what the decoder says is no score of these.
        self.language_model_head: None = None
        self.contact_head: None = None

    def forward(self, tokens_N: Tensor, layout: Layout) -> Tensor:
        """The encoder's hidden states (N, D) after its final norm."""
        longest = max(layout.lengths)
        added_HW = self.encoder.relative(longest, longest)
        x_ND = self.embedding(tokens_N)
        for block in self.encoder.blocks:
            x_ND = block(x_ND, layout, added_HW)
        hidden_ND: Tensor = self.encoder.final_norm(x_ND)
        return hidden_ND

    def encode(self, tokens_N: Tensor, layout: Layout) -> Tensor:
        """The same, by the name that it has beside a decoder."""
        return self.forward(tokens_N, layout)

    def trace(self, tokens_N: Tensor, layout: Layout, with_maps: bool = False) -> EncoderOutput:
        """The same, keeping every layer's output and, if asked, every attention map (exact)."""
        longest = max(layout.lengths)
        added_HW = self.encoder.relative(longest, longest)
        maps: list[list[Tensor]] = []
        layers = [self.embedding(tokens_N)]
        for block in self.encoder.blocks:
            layers.append(block(layers[-1], layout, added_HW, maps if with_maps else None))
        layers[-1] = self.encoder.final_norm(layers[-1])
        return EncoderOutput(layers[-1], layers, maps)

    def start(self, rows: int, capacity: int, source_capacity: int = 0) -> State:
        """Rows that have seen nothing and have no source: each is to be `put` from `start_from`.

        Beside the keys and values of its own tokens, a row keeps those of its source, made once:
        room for `source_capacity` tokens, the same in all states that rows are put between, of
        which the first `source_lengths` (in the first layer) are the row's.
        """
        weight = self.embedding.weight
        heads = (self.config.num_heads, self.config.head_width)
        dtype = cache_dtype(weight)
        own, source = (heads, dtype), ((source_capacity, *heads), dtype)
        names = {"keys": own, "values": own, "source_keys": source, "source_values": source}
        layers: list[dict[str, tuple[tuple[int, ...], torch.dtype]]]
        layers = [{**names} for _ in self._decoder().blocks]
        layers[0]["source_lengths"] = ((), torch.int64)
        return empty_state(rows, capacity, layers, weight.device)

    def start_from(
        self,
        source_ND: Tensor,
        layout: Layout,
        capacity: int,
        source_capacity: int | None = None,
    ) -> State:
        """A row for each sequence that the encoder has read.

        Args:
            source_ND: what `encode` has made of the sequences.
            capacity: tokens that a row may come to.
            source_capacity: room for a source; that of the longest where nothing is said.
        """
        room, longest = source_capacity or 0, max(layout.lengths)
        if source_capacity is None:
            room = longest
        elif longest > room:
            raise ValueError(f"a source of {longest} tokens has no room in {room}")
        state = self.start(len(layout.lengths), capacity, room)
        for block, kept in zip(self._decoder().each_block(), state.layers, strict=True):
            projected = block.cross.project_source(source_ND)
            for name, made_NHd in zip(("source_keys", "source_values"), projected, strict=True):
                kept[name][:, :longest] = layout.to_rows(made_NHd)[0]
        state.layers[0]["source_lengths"].copy_(layout.lengths_S)
        return state

    def extend(self, tokens_BT: Tensor, state: State) -> Tensor:
        """Read further tokens of every row: hidden states (B, T, D) after the final norm."""
        decoder, (num_rows, new) = self._decoder(), tokens_BT.shape
        lengths = state.lengths_B.tolist()
        sources = state.layers[0]["source_lengths"].tolist()
        if num_rows != len(state) or max(lengths) + new > state.capacity:
            raise ValueError(
                f"{num_rows} x {new} tokens for {len(state)} rows of at most {max(lengths)} "
                f"tokens, with room for {state.capacity}"
            )
        if min(sources) < 1:
            raise ValueError("a row without a source: put one from `start_from` there")
        device = tokens_BT.device
        places_BT = state.lengths_B[:, None] + torch.arange(new, device=device)
        rows = Rows(lengths, sources, torch.arange(num_rows, device=device)[:, None], places_BT)
        added_HW = decoder.relative(new, max(lengths) + new)
        x_BTD = self.embedding(tokens_BT)
        for block, kept in zip(decoder.each_block(), state.layers, strict=True):
            x_BTD = block.extend(x_BTD, kept, rows, added_HW)
        state.lengths_B += new
        hidden_BTD: Tensor = decoder.final_norm(x_BTD)
        return hidden_BTD

    def logits(self, hidden_ND: Tensor) -> Tensor:
        """Scores of every token (N, V) from what `extend` gives."""
        head = self._decoder().head
        if head is None:
            raise ValueError("this model has no language-model head")
        if self.config.scaled_head:
            hidden_ND = hidden_ND * self.width**-0.5
        scores: Tensor = head(hidden_ND, self.embedding.weight)
        return scores

    def contacts(self, maps: list[list[Tensor]], tokens: list[Tensor]) -> list[Tensor]:
        """No model of this family was trained for contacts."""
        raise ValueError("this model has no contact head")

    def _decoder(self) -> T5Decoder:
        if self.decoder is None:
            raise ValueError("these weights are an encoder alone: there is no decoder")
        return self.decoder


def _sizes(config: T5Config) -> BlockSizes:
    return BlockSizes(
        config.width,
        config.num_heads,
        config.head_width,
        config.ffn_width,
        config.feed_forward,
        config.norm_eps,
    )
