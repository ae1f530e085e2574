"""ESM and Nucleotide Transformer in the Hugging Face layout: config.json, vocab.txt, weights."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lexome.architectures.encoder import Encoder, EncoderConfig
from lexome.checkpoints.blank import no_values
from lexome.checkpoints.loaded import Loaded
from lexome.checkpoints.renaming import Rule, Unused, fill, note_placeholders, rename
from lexome.checkpoints.settings import read_eps, read_sizes, require, whole
from lexome.checkpoints.weight_files import read_json, read_lines, read_tensors
from lexome.errors import CheckpointError
from lexome.tokenizers.character import CharacterTokenizer, check_vocabulary, esm_vocabulary
from lexome.tokenizers.interface import Tokenizer
from lexome.tokenizers.six_mers import SixMerTokenizer, check_rows

_LAYER, _BLOCK = "encoder.layer.{i}.", "blocks.{i}."
_LINEARS = {
    "attention.self.query": "attention.query",
    "attention.self.key": "attention.key",
    "attention.self.value": "attention.value",
    "attention.output.dense": "attention.output",
    "attention.LayerNorm": "attention_norm",
    "intermediate.dense": "feed_forward.up",
    "output.dense": "feed_forward.down",
    "LayerNorm": "feed_forward_norm",
}
RULES = [
    Rule("embeddings.word_embeddings.weight", "embedding.tokens.weight"),
    *(
        Rule(f"{_LAYER}{theirs}.{kind}", f"{_BLOCK}{ours}.{kind}")
        for theirs, ours in _LINEARS.items()
        for kind in ("weight", "bias")
    ),
    # transformers 5 gives norms of this spelling TensorFlow's old names when it saves.
    *(
        Rule(f"{_LAYER}{theirs}.{old}", f"{_BLOCK}{ours}.{kind}")
        for theirs, ours in _LINEARS.items()
        if theirs.endswith("LayerNorm")
        for old, kind in (("gamma", "weight"), ("beta", "bias"))
    ),
    *(
        Rule(f"{theirs}.{kind}", f"{ours}.{kind}")
        for theirs, ours in {
            "embeddings.layer_norm": "embedding.norm",
            "encoder.emb_layer_norm_after": "final_norm",
            "contact_head.regression": "contact_head.regression",
            "lm_head.dense": "language_model_head.dense",
            "lm_head.layer_norm": "language_model_head.norm",
        }.items()
        for kind in ("weight", "bias")
    ),
    Rule("lm_head.bias", "language_model_head.bias"),
]
ROTARY = [
    # Stored once a layer, or once; all must agree, and the file's rounded values are the model's.
    Rule(f"{_LAYER}attention.self.rotary_embeddings.inv_freq", "rotary.inv_freq"),
    Rule("rotary_embeddings.inv_freq", "rotary.inv_freq"),
    # transformers 5.23 writes this very name, star and all.
    Rule("encoder.layer.*.attention.self.rotary_embeddings.inv_freq", "rotary.inv_freq"),
]
LEARNED = [Rule("embeddings.position_embeddings.weight", "embedding.positions.weight")]
TIED = [Rule("lm_head.decoder.weight", "embedding.tokens.weight")]  # must hold the same values
UNTIED = [Rule("lm_head.decoder.weight", "language_model_head.rows")]
UNUSED = [
    Unused("embeddings.position_ids", "a constant 0, 1, 2, ..."),
    Unused("pooler.dense.weight", "the pooler was never trained"),
    Unused("pooler.dense.bias", "the pooler was never trained"),
]
NO_TABLE = Unused(
    "embeddings.position_embeddings.weight", "positions are rotary; the table is a leftover"
)
NO_CONTACTS = [
    Unused(f"contact_head.regression.{kind}", "the contact regression was never trained")
    for kind in ("weight", "bias")
]
# What every config of these layouts must say.
COMMON = {
    "is_folding_model": False,
    "hidden_act": "gelu",
    "pad_token_id": 1,
    "rope_theta": 10000,
}


class Variant(NamedTuple):
    """What tells the published models of this layout apart."""

    name: str
    positions: str
    embedding_norm: bool
    token_dropout: bool
    is_protein: bool
    is_tied: bool
    feed_forward: str
    contacts: bool

    @property
    def required(self) -> dict[str, object]:
        """What config.json must say."""
        own: dict[str, object] = {
            "model_type": "esm",  # or none, where code lies beside the weights
            "position_embedding_type": "rotary" if self.positions == "rotary" else "absolute",
            "emb_layer_norm_before": self.embedding_norm,
            "tie_word_embeddings": self.is_tied,
            "mask_token_id": 32 if self.is_protein else 2,
        }
        if self.feed_forward == "swiglu":
            own["add_bias_fnn"] = False
        return COMMON | own


VARIANTS = {
    variant.name: variant
    for variant in (
        Variant("esm2", "rotary", False, True, True, True, "gelu", True),
        Variant("esm1b", "learned", True, True, True, True, "gelu", True),
        Variant("esm1v", "learned", False, True, True, True, "gelu", False),
        Variant("nt-v1", "learned", False, True, False, False, "gelu", False),
        Variant("nt-v2", "rotary", False, False, False, False, "swiglu", False),
    )
}


def load_esm(directory: Path) -> Loaded:
    """The ESM or Nucleotide Transformer model of a directory, in fp32 on the CPU.

    Raises:
        CheckpointError: a setting, tensor name, shape or token that is not the family's.
    """
    where = str(directory / "config.json")
    settings = read_json(directory / "config.json")
    nested = settings.get("rope_parameters")
    if isinstance(nested, dict):
        settings = settings | nested
    vocabulary = read_lines(directory / "vocab.txt")
    variant = find_variant(settings, vocabulary)
    require(settings, variant.required, where)
    tokenizer = _make_tokenizer(variant, vocabulary, directory)
    read = read_tensors(directory)
    tensors = strip_prefix(read.by_name, "esm.", str(directory))
    rules, unused = rules_of(variant)
    renamed, accounting = rename(tensors, rules, unused, str(directory))
    config = _read_config(settings, variant, set(renamed), where)
    if isinstance(tokenizer, SixMerTokenizer):
        check_rows(tokenizer, config.vocabulary_size, where)
    if variant.positions == "rotary":
        renamed.setdefault("rotary.inv_freq", _published_inv_freq(config))
    network = build_filled(config, renamed, str(directory))
    notes = note_placeholders(read.placeholders)
    return Loaded(network, tokenizer, accounting, "encoder", variant.name, notes)


def rules_of(variant: Variant) -> tuple[list[Rule], list[Unused]]:
    """The names of a variant's tensors, and which of them its model does not need."""
    is_rotary = variant.positions == "rotary"
    rules = [*RULES, *(ROTARY if is_rotary else LEARNED), *(TIED if variant.is_tied else UNTIED)]
    unused = [*UNUSED, *([NO_TABLE] if is_rotary else [])]
    if not variant.contacts:
        rules = [rule for rule in rules if not rule.ours.startswith("contact_head.")]
        unused += NO_CONTACTS
    return rules, unused


def build_filled(config: EncoderConfig, tensors: dict[str, Tensor], where: str) -> Encoder:
    """An encoder with exactly these weights."""
    with no_values():
        network = Encoder(config)
    fill(network, tensors, where)
    return network.eval()


def strip_prefix(tensors: Mapping[str, Tensor], prefix: str, where: str) -> dict[str, Tensor]:
    """Names with and without the bare encoder's prefix become the same."""
    stripped = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    if len(stripped) != len(tensors):
        raise CheckpointError(
            where,
            f"a tensor both with and without the prefix {prefix!r}",
            "each tensor once",
            "the published weights",
        )
    return stripped


def find_variant(settings: Mapping[str, object], vocabulary: list[str]) -> Variant:
    """Which of the published models a config describes; what does not fit is refused later."""
    is_rotary = settings.get("position_embedding_type", "absolute") == "rotary"
    if any(len(token) == 1 and token in "LVSERIDPKQ" for token in vocabulary):
        if is_rotary:
            return VARIANTS["esm2"]
        return VARIANTS["esm1b" if settings.get("emb_layer_norm_before") else "esm1v"]
    return VARIANTS["nt-v2" if is_rotary else "nt-v1"]


def _make_tokenizer(variant: Variant, vocabulary: list[str], directory: Path) -> Tokenizer:
    if variant.is_protein:
        check_vocabulary(vocabulary, str(directory / "vocab.txt"))
        return CharacterTokenizer(esm_vocabulary())
    path = directory / "tokenizer_config.json"
    told = read_json(path) if path.is_file() else {}
    # The library's default where a file says nothing, as early revisions did.
    eos = told.get("eos_token", "<eos>")
    return SixMerTokenizer(vocabulary, append_eos=eos is not None)


def _read_config(
    settings: Mapping[str, object], variant: Variant, tensors: set[str], where: str
) -> EncoderConfig:
    is_rotary = variant.positions == "rotary"
    sizes: dict[str, Any] = read_sizes(settings, where, pairs=2 if is_rotary else 1)
    has_head = any(name.startswith("language_model_head.") for name in tensors)
    if settings.get("architectures") == ["EsmForMaskedLM"] and not has_head:
        raise CheckpointError(
            where,
            "EsmForMaskedLM in the config but no lm_head tensor in the weights",
            "the trained head, which would stay random otherwise",
            "the whole checkpoint, or architectures EsmModel for the bare encoder",
        )
    vocabulary_size = whole(settings, "vocab_size", where, 33 if variant.is_protein else None)
    if variant.is_protein:
        require(settings, {"vocab_size": 33}, where)
    rows = whole(settings, "max_position_embeddings", where, 1026)
    return EncoderConfig(
        **sizes,
        vocabulary_size=vocabulary_size,
        mask_id=32 if variant.is_protein else 2,
        eos_id=2 if variant.is_protein else None,
        layer_norm_eps=read_eps(settings, where, 1e-5 if variant.is_protein else 1e-12),
        token_dropout=bool(settings.get("token_dropout", variant.token_dropout)),
        # A file of the bare encoder (EsmModel) has no heads: then asking for logits is an error.
        language_model_head=has_head,
        contact_head=any(name.startswith("contact_head.") for name in tensors),
        context=1024 if variant.name == "esm2" else rows - 2,
        positions=variant.positions,  # type: ignore[arg-type]
        embedding_norm=variant.embedding_norm,
        feed_forward=variant.feed_forward,
        tied_head=variant.is_tied,
    )


def _published_inv_freq(config: EncoderConfig) -> Tensor:
    """For files that leave the frequencies out: current transformers recomputes them as here."""
    head_width = config.width // config.num_heads
    return 1.0 / 10000 ** (torch.arange(0, head_width, 2, dtype=torch.float32) / head_width)
