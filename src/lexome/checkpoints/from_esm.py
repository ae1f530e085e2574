"""ESM-2 in the Hugging Face layout: config.json, vocab.txt, model.safetensors."""

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from lexome.architectures.encoder import Encoder, EncoderConfig
from lexome.checkpoints.renaming import Accounting, Rule, Unused, fill, rename
from lexome.checkpoints.weight_files import read_json, read_tensors
from lexome.errors import CheckpointError
from lexome.tokenizers.character import CharacterTokenizer, check_vocabulary, esm_vocabulary

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
    Rule("lm_head.decoder.weight", "embedding.tokens.weight"),  # tied: must hold the same values
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
    # Stored once a layer, or once; all must agree, and the file's rounded values are the model's.
    Rule(f"{_LAYER}attention.self.rotary_embeddings.inv_freq", "rotary.inv_freq"),
    Rule("rotary_embeddings.inv_freq", "rotary.inv_freq"),
    # transformers 5.23 writes this very name, star and all.
    Rule("encoder.layer.*.attention.self.rotary_embeddings.inv_freq", "rotary.inv_freq"),
    *(
        Rule(f"{theirs}.{kind}", f"{ours}.{kind}")
        for theirs, ours in {
            "encoder.emb_layer_norm_after": "final_norm",
            "contact_head.regression": "contact_head.regression",
            "lm_head.dense": "language_model_head.dense",
            "lm_head.layer_norm": "language_model_head.norm",
        }.items()
        for kind in ("weight", "bias")
    ),
    Rule("lm_head.bias", "language_model_head.bias"),
]
UNUSED = [
    Unused(
        "embeddings.position_embeddings.weight", "positions are rotary; the table is a leftover"
    ),
    Unused("embeddings.position_ids", "a constant 0, 1, 2, ..."),
    Unused("pooler.dense.weight", "the pooler was never trained"),
    Unused("pooler.dense.bias", "the pooler was never trained"),
]
# What config.json must say for this architecture; a key that is absent has the published default.
REQUIRED = {
    "model_type": "esm",
    "position_embedding_type": "rotary",
    "emb_layer_norm_before": False,
    "is_folding_model": False,
    "hidden_act": "gelu",
    "mask_token_id": 32,
    "pad_token_id": 1,
    "vocab_size": 33,
    "tie_word_embeddings": True,
    "rope_theta": 10000,
}


class LoadedEncoder(NamedTuple):
    """A network with its weights, its tokenizer, and what became of each tensor."""

    network: Encoder
    tokenizer: CharacterTokenizer
    accounting: Accounting


def load_esm2(directory: Path) -> LoadedEncoder:
    """The ESM-2 model of a directory, in fp32 on the CPU.

    Raises:
        CheckpointError: a setting, tensor name, shape or token that is not ESM-2's.
    """
    settings = read_json(directory / "config.json")
    vocabulary = _read_vocabulary(directory)
    published = read_tensors(directory)
    tensors = {name.removeprefix("esm."): tensor for name, tensor in published.items()}
    if len(tensors) != len(published):
        raise CheckpointError(
            str(directory),
            "a tensor both with and without the prefix 'esm.'",
            "each tensor once",
            "the published weights",
        )
    renamed, accounting = rename(tensors, RULES, UNUSED, str(directory))
    config = read_config(settings, set(renamed), str(directory / "config.json"))
    renamed.setdefault("rotary.inv_freq", _published_inv_freq(config))
    with torch.device("meta"):  # no memory and no random values for what the file will fill
        network = Encoder(config)
    fill(network, renamed, str(directory))
    return LoadedEncoder(network.eval(), CharacterTokenizer(vocabulary), accounting)


def read_config(settings: dict[str, object], tensors: set[str], where: str) -> EncoderConfig:
    """Our config from the published one; refuses what would change the result."""
    nested = settings.get("rope_parameters")
    if isinstance(nested, dict):
        settings = settings | nested
    for key, expected in REQUIRED.items():
        seen = settings.get(key, expected)
        if seen != expected:
            raise CheckpointError(
                where,
                f"{key} = {seen!r}",
                f"{expected!r}, as every ESM-2 has it",
                "an ESM-2 checkpoint; other families are not read yet",
            )
    sizes = {}
    for ours, theirs in {
        "num_layers": "num_hidden_layers",
        "width": "hidden_size",
        "num_heads": "num_attention_heads",
        "ffn_width": "intermediate_size",
    }.items():
        value = settings.get(theirs)
        if not isinstance(value, int) or value < 1:
            raise CheckpointError(
                where, f"{theirs} = {value!r}", "a positive whole number", "the published config"
            )
        sizes[ours] = value
    if sizes["width"] % (2 * sizes["num_heads"]):
        raise CheckpointError(
            where,
            f"num_attention_heads = {sizes['num_heads']} for hidden_size = {sizes['width']}",
            "heads of an equal and even width",
            "the published config",
        )
    architectures = settings.get("architectures")
    has_head = any(name.startswith("language_model_head.") for name in tensors)
    if architectures == ["EsmForMaskedLM"] and not has_head:
        raise CheckpointError(
            where,
            "EsmForMaskedLM in the config but no lm_head tensor in the weights",
            "the trained head, which would stay random otherwise",
            "the whole checkpoint, or architectures EsmModel for the bare encoder",
        )
    eps = settings.get("layer_norm_eps", 1e-5)
    if not isinstance(eps, float):
        raise CheckpointError(
            where, f"layer_norm_eps = {eps!r}", "a number", "the published config"
        )
    return EncoderConfig(
        **sizes,
        layer_norm_eps=eps,
        token_dropout=bool(settings.get("token_dropout", True)),
        # A file of the bare encoder (EsmModel) has no heads: then asking for logits is an error.
        language_model_head=has_head,
        contact_head=any(name.startswith("contact_head.") for name in tensors),
        context=1024,
    )


def _read_vocabulary(directory: Path) -> tuple[str, ...]:
    path = directory / "vocab.txt"
    if not path.is_file():
        raise CheckpointError(
            str(directory), "no vocab.txt", "the 33 tokens of ESM", "the whole model directory"
        )
    found = path.read_text(encoding="utf-8").splitlines()
    check_vocabulary(found, str(path))
    return esm_vocabulary()


def _published_inv_freq(config: EncoderConfig) -> Tensor:
    """For files that leave the frequencies out: current transformers recomputes them as here."""
    head_width = config.width // config.num_heads
    return 1.0 / 10000 ** (torch.arange(0, head_width, 2, dtype=torch.float32) / head_width)
