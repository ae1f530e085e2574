"""Decoders as the hub holds them: the GPT-2 layout, and both of ProGen2."""

# Letters: D width.
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lexome.architectures.decoder import Decoder, DecoderConfig
from lexome.checkpoints.blank import no_values
from lexome.checkpoints.from_esm import strip_prefix
from lexome.checkpoints.loaded import Loaded
from lexome.checkpoints.renaming import Rule, Unused, fill, note_placeholders, rename
from lexome.checkpoints.settings import read_sizes, require, whole
from lexome.checkpoints.weight_files import read_json, read_tensors
from lexome.errors import CheckpointError
from lexome.layers.rotary import Rotary
from lexome.sequence.alphabet import ALPHABETS
from lexome.tokenizers.plain import PlainTokenizer

SIZES = {"num_layers": "n_layer", "width": "n_embd", "num_heads": "n_head"}
SLABS = 8  # ProGen2's rows of q, v and k lie in so many slabs
END_OF_TEXT = "<|endoftext|>"
ALPHABET = "alphabet"  # in tokenizer_config.json of a model that was trained here
NORMS = [
    Rule(f"h.{{i}}.{theirs}.{part}", f"blocks.{{i}}.{ours}.{part}")
    for theirs, ours in (("ln_1", "attention_norm"), ("ln_2", "feed_forward_norm"))
    for part in ("weight", "bias")
]
ENDS = [
    Rule("wte.weight", "tokens.weight"),
    Rule("ln_f.weight", "final_norm.weight"),
    Rule("ln_f.bias", "final_norm.bias"),
]


def _linears(pairs: Mapping[str, str], biases: bool) -> list[Rule]:
    parts = ("weight", "bias") if biases else ("weight",)
    return [
        Rule(f"h.{{i}}.{a}.{p}", f"blocks.{{i}}.{b}.{p}") for a, b in pairs.items() for p in parts
    ]


PROJECTIONS = {f"attn.{name}": f"attention.{name}" for name in ("query", "key", "value")}
GPT2_RULES = [
    *ENDS,
    *NORMS,
    Rule("wpe.weight", "positions.weight"),
    *_linears(PROJECTIONS | {"attn.c_proj": "attention.output"}, True),
    *_linears({"mlp.c_fc": "feed_forward.up", "mlp.c_proj": "feed_forward.down"}, True),
]
PROGEN2_RULES = [
    *ENDS,
    *NORMS[:2],
    *_linears(PROJECTIONS | {"attn.out_proj": "attention.output"}, False),
    *_linears({"mlp.fc_in": "feed_forward.up", "mlp.fc_out": "feed_forward.down"}, True),
    Rule("lm_head.weight", "language_model_head.rows"),
    Rule("lm_head.bias", "language_model_head.bias"),
]
MASKS = [
    Unused("h.{i}.attn.bias", "the causal mask, which is known without it"),
    Unused("h.{i}.attn.masked_bias", "what a masked score became"),
]


def load_gpt2(directory: Path) -> Loaded:
    """A decoder of the GPT-2 layout (ProtGPT2, ZymCTRL), in fp32 on the CPU.

    Raises:
        CheckpointError: a setting, tensor name, shape or token that is not the family's.
    """
    where = str(directory / "config.json")
    settings = read_json(directory / "config.json")
    required = {
        "activation_function": "gelu_new",
        "scale_attn_weights": True,
        "scale_attn_by_inverse_layer_idx": False,
        "reorder_and_upcast_attn": False,
        "add_cross_attention": False,
    }
    require(settings, required, where)
    read = read_tensors(directory)
    tensors = strip_prefix(read.by_name, "transformer.", str(directory))
    tensors = _without_tied_copy(tensors, str(directory))
    is_tied = "lm_head.weight" not in tensors
    if not is_tied and settings.get("tie_word_embeddings", True):
        raise CheckpointError(
            where,
            "a tied head in the config, and weights of a head that differ from the embedding",
            "one of both",
            "the config.json and the weights of one and the same model",
        )
    tensors = _split_columns(tensors, str(directory))
    rules = [*GPT2_RULES, *([] if is_tied else [Rule("lm_head.weight", HEAD)])]
    renamed, accounting = rename(tensors, rules, MASKS, str(directory))
    config = DecoderConfig(
        **_read_sizes(settings, where),
        vocabulary_size=whole(settings, "vocab_size", where, 50257),
        context=whole(settings, "n_positions", where, 1024),
        layer_norm_eps=_read_eps(settings, where),
        tied_head=is_tied,
    )
    tokenizer = _gpt2_tokenizer(directory, config.vocabulary_size)
    network = _fill(config, renamed, directory)
    notes = note_placeholders(read.placeholders)
    return Loaded(network, tokenizer, accounting, "decoder", "gpt2", notes)


HEAD = "language_model_head.rows"


def load_progen2(directory: Path) -> Loaded:
    """ProGen2 from the hub's port or the original files, in fp32 on the CPU.

    Raises:
        CheckpointError: a setting, tensor name, shape or token that is not the family's.
    """
    where = str(directory / "config.json")
    settings = read_json(directory / "config.json")
    require(settings, {"activation_function": "gelu_new", "scale_attn_weights": True}, where)
    read = read_tensors(directory)
    tensors = strip_prefix(read.by_name, "transformer.", str(directory))
    if "n_embd" not in settings:  # a revision of BFD90 has it by another name only
        settings = settings | {"n_embd": settings.get("embed_dim")}
    sizes = _read_sizes(settings, where)
    rows = {name: _rows(tensors, name, str(directory)) for name in ("wte.weight", "lm_head.weight")}
    for key in ("vocab_size", "vocab_size_emb"):
        require(settings, {key: rows["wte.weight"]}, where)
    require(settings, {"vocab_size_lm_head": rows["lm_head.weight"]}, where)
    tensors = _split_slabs(tensors, sizes["num_heads"], str(directory))
    turned, head_width = whole(settings, "rotary_dim", where), sizes["width"] // sizes["num_heads"]
    if turned % 2 or turned > head_width:
        raise CheckpointError(
            where,
            f"rotary_dim = {turned}",
            f"an even number up to the width of a head, {head_width}",
            "the published config",
        )
    renamed, accounting = rename(tensors, PROGEN2_RULES, MASKS, str(directory))
    config = DecoderConfig(
        **sizes,
        vocabulary_size=rows["wte.weight"],
        head_size=rows["lm_head.weight"],
        context=whole(settings, "n_positions", where, 2048),
        layer_norm_eps=_read_eps(settings, where),
        positions="rotary",
        turned_width=turned,
        interleaved=True,
        parallel=True,
        attention_bias=False,
        tied_head=False,
        head_bias=True,
    )
    renamed["rotary.inv_freq"] = Rotary(turned).inv_freq  # never in the files
    # A protein begins with the terminal `1`, which stands in the text: nothing goes before it.
    ends = {"eos": "<|eos|>", "pad": "<|pad|>"}
    tokenizer = _tokenizer(directory, "progen", ends, config.vocabulary_size)
    network = _fill(config, renamed, directory)
    notes = note_placeholders(read.placeholders)
    return Loaded(network, tokenizer, accounting, "decoder", "progen2", notes)


def _read_sizes(settings: Mapping[str, object], where: str) -> dict[str, Any]:
    sizes = read_sizes(settings, where, SIZES)
    inner = settings.get("n_inner")
    given = whole(settings, "n_inner", where) if inner is not None else 4 * sizes["width"]
    return sizes | {"ffn_width": given}


def _read_eps(settings: Mapping[str, object], where: str) -> float:
    value = settings.get("layer_norm_epsilon", 1e-5)
    if not isinstance(value, float) or not 0 < value < 1:
        raise CheckpointError(
            where, f"layer_norm_epsilon = {value!r}", "a small number", "the published config"
        )
    return value


def _rows(tensors: Mapping[str, Tensor], name: str, where: str) -> int:
    if name not in tensors:
        raise CheckpointError(where, f"no tensor {name}", "the whole model", "a fresh download")
    return len(tensors[name])


def _without_tied_copy(tensors: dict[str, Tensor], where: str) -> dict[str, Tensor]:
    """Older files hold the embedding a second time, as the head."""
    head = tensors.get("lm_head.weight")
    embedding = tensors.get("wte.weight")
    if head is None or embedding is None or not torch.equal(head, embedding):
        return tensors
    return {name: tensor for name, tensor in tensors.items() if name != "lm_head.weight"}


def _split_columns(tensors: Mapping[str, Tensor], where: str) -> dict[str, Tensor]:
    """GPT-2's matrices stand transposed, and q, k and v side by side in one."""
    split: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        is_matrix = name.startswith("h.") and name.endswith(".weight") and tensor.dim() == 2
        turned = tensor.t() if is_matrix else tensor
        if ".c_attn." not in name:
            split[name] = turned
            continue
        _check_thirds(turned, name, where)
        for part, piece in zip(("query", "key", "value"), turned.chunk(3), strict=True):
            split[name.replace("c_attn", part)] = piece
    return split


def _split_slabs(tensors: Mapping[str, Tensor], num_heads: int, where: str) -> dict[str, Tensor]:
    """ProGen2's rows: eight slabs, and in each of them a third of q, of v, and of k.

    Source: salesforce/progen modeling_progen.py, whose order is query, value, key.
    """
    split: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if ".qkv_proj." not in name:
            split[name] = tensor
            continue
        _check_thirds(tensor, name, where)
        if num_heads % SLABS:
            raise CheckpointError(
                where, f"{num_heads} heads", f"a multiple of {SLABS}", "the published config"
            )
        slabs = tensor.view(SLABS, 3, -1, tensor.shape[-1])
        for i, part in enumerate(("query", "value", "key")):
            split[name.replace("qkv_proj", part)] = slabs[:, i].flatten(0, 1)
    return split


def _check_thirds(tensor: Tensor, name: str, where: str) -> None:
    if len(tensor) % (3 * (SLABS if "qkv_proj" in name else 1)):
        raise CheckpointError(
            where, f"{name} of {len(tensor)} rows", "three equal parts", "the published weights"
        )


def _fill(config: DecoderConfig, tensors: dict[str, Tensor], directory: Path) -> Decoder:
    with no_values():
        network = Decoder(config)
    fill(network, tensors, str(directory))
    return network.eval()


def _gpt2_tokenizer(directory: Path, rows: int) -> PlainTokenizer:
    """What begins and ends a text is told beside it, or is `<|endoftext|>`."""
    path = directory / "tokenizer_config.json"
    told = read_json(path) if path.is_file() else {}
    ends = {
        kind: token if isinstance(token := told.get(f"{kind}_token", END_OF_TEXT), str) else None
        for kind in ("bos", "eos")
    }
    return _tokenizer(directory, str(told.get(ALPHABET, "text")), ends, rows)


def _tokenizer(
    directory: Path, alphabet: str, ends: Mapping[str, str | None], rows: int
) -> PlainTokenizer:
    path = directory / "tokenizer.json"
    if not path.is_file():
        raise CheckpointError(
            str(directory), "no tokenizer.json", "the model's tokens", "the whole model directory"
        )
    if alphabet not in ALPHABETS:
        raise CheckpointError(
            str(directory / "tokenizer_config.json"),
            f"{ALPHABET} = {alphabet!r}",
            ", ".join(ALPHABETS),
            "the file as it was saved",
        )
    tokenizer = PlainTokenizer(path.read_text(encoding="utf-8"), alphabet, **ends)
    if len(tokenizer.vocabulary) > rows:
        raise CheckpointError(
            str(path),
            f"{len(tokenizer.vocabulary):,} tokens for {rows:,} rows of the embedding",
            "a row for every token",
            "the tokenizer and the weights of one and the same model",
        )
    return tokenizer
