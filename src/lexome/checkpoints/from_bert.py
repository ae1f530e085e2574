"""BERT, DNABERT and DNABERT-2 in their published layouts."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from lexome.architectures.bert import Bert, BertConfig
from lexome.checkpoints.blank import no_values
from lexome.checkpoints.from_esm import strip_prefix
from lexome.checkpoints.loaded import Loaded
from lexome.checkpoints.renaming import Rule, Unused, fill, note_placeholders, rename
from lexome.checkpoints.settings import read_eps, read_sizes, require, whole
from lexome.checkpoints.weight_files import read_json, read_lines, read_tensors
from lexome.errors import CheckpointError
from lexome.layers.feed_forward import ACTIVATIONS
from lexome.tokenizers.interface import Tokenizer
from lexome.tokenizers.library import LibraryTokenizer, has_single_letters, word_piece_text
from lexome.tokenizers.overlapping import OverlappingTokenizer, find_k

_LAYER, _BLOCK = "encoder.layer.{i}.", "blocks.{i}."
# Very old files say gamma and beta.
_KINDS = {"weight": "weight", "bias": "bias", "gamma": "weight", "beta": "bias"}


def _both(parts: Mapping[str, str]) -> list[Rule]:
    return [
        Rule(f"{theirs}.{kind}", f"{ours}.{kind_of_ours}")
        for theirs, ours in parts.items()
        for kind, kind_of_ours in _KINDS.items()
        if kind in ("weight", "bias") or theirs.lower().endswith("layernorm")
    ]


SHARED = [
    Rule("embeddings.word_embeddings.weight", "embedding.tokens.weight"),
    Rule("embeddings.token_type_embeddings.weight", "embedding.types.weight"),
    Rule("cls.predictions.decoder.bias", "language_model_head.bias"),
    *_both(
        {
            "embeddings.LayerNorm": "embedding.norm",
            f"{_LAYER}attention.output.dense": f"{_BLOCK}attention.output",
            f"{_LAYER}attention.output.LayerNorm": f"{_BLOCK}attention_norm",
            "pooler.dense": "pooler",
            "cls.predictions.transform.dense": "language_model_head.dense",
            "cls.predictions.transform.LayerNorm": "language_model_head.norm",
        }
    ),
]
BERT_RULES = [
    *SHARED,
    # Linked to decoder.bias: both, where both are stored, must hold the same values.
    Rule("cls.predictions.bias", "language_model_head.bias"),
    Rule("embeddings.position_embeddings.weight", "embedding.positions.weight"),
    *_both(
        {
            f"{_LAYER}attention.self.query": f"{_BLOCK}attention.query",
            f"{_LAYER}attention.self.key": f"{_BLOCK}attention.key",
            f"{_LAYER}attention.self.value": f"{_BLOCK}attention.value",
            f"{_LAYER}intermediate.dense": f"{_BLOCK}feed_forward.up",
            f"{_LAYER}output.dense": f"{_BLOCK}feed_forward.down",
            f"{_LAYER}output.LayerNorm": f"{_BLOCK}feed_forward_norm",
            "cls.seq_relationship": "next_sentence_head",
        }
    ),
]
DNABERT2_RULES = [
    *SHARED,
    *_both(
        {
            f"{_LAYER}attention.self.{part}": f"{_BLOCK}attention.{part}"
            for part in ("query", "key", "value")  # cut from Wqkv before the names are looked up
        }
        | {
            f"{_LAYER}mlp.gated_layers": f"{_BLOCK}feed_forward.up",
            f"{_LAYER}mlp.wo": f"{_BLOCK}feed_forward.down",
            f"{_LAYER}mlp.layernorm": f"{_BLOCK}feed_forward_norm",
        }
    ),
]
TIED = Rule("cls.predictions.decoder.weight", "embedding.tokens.weight")
UNTIED = Rule("cls.predictions.decoder.weight", "language_model_head.rows")
UNUSED = [Unused("embeddings.position_ids", "a constant 0, 1, 2, ...")]
NO_BINARY = [
    Unused(f"cls.seq_relationship.{kind}", "no next-sentence head in this layout")
    for kind in ("weight", "bias")
]


def load_bert(directory: Path) -> Loaded:
    """BERT or DNABERT, in fp32 on the CPU; with DNABERT's vocabulary it is DNABERT.

    Raises:
        CheckpointError: a setting, tensor name, shape or token that is not the family's.
    """
    where = str(directory / "config.json")
    settings = read_json(directory / "config.json")
    required = {"model_type": "bert", "position_embedding_type": "absolute", "is_decoder": False}
    require(settings, required, where)
    k = find_k(_words(directory))
    alphabet = "protein" if has_single_letters(_words(directory)) else "text"
    tokenizer: Tokenizer = OverlappingTokenizer(k) if k else _text_tokenizer(directory, alphabet)
    layout = "dnabert" if k else "bert"
    return _load(directory, settings, tokenizer, layout, BERT_RULES, "learned", "gelu")


def load_dnabert2(directory: Path) -> Loaded:
    """DNABERT-2, in fp32 on the CPU, without the code that lies beside it.

    Raises:
        CheckpointError: a setting, tensor name, shape or token that is not the family's.
    """
    settings = read_json(directory / "config.json")
    # Its code gives the head's norm 1e-12 whatever the config says.
    required = {"hidden_act": "gelu", "layer_norm_eps": 1e-12}
    require(settings, required, str(directory / "config.json"))
    tokenizer = _text_tokenizer(directory, "dna-bases")
    return _load(directory, settings, tokenizer, "dnabert-2", DNABERT2_RULES, "alibi", "geglu")


def _load(
    directory: Path,
    settings: dict[str, object],
    tokenizer: Tokenizer,
    layout: str,
    rules: list[Rule],
    positions: str,
    feed_forward: str,
) -> Loaded:
    where = str(directory / "config.json")
    read = read_tensors(directory)
    tensors = _split_fused(strip_prefix(read.by_name, "bert.", str(directory)), str(directory))
    is_tied = bool(settings.get("tie_word_embeddings", True))
    rules = [*rules, TIED if is_tied else UNTIED]
    unused = [*UNUSED, *(NO_BINARY if layout == "dnabert-2" else [])]
    renamed, accounting = rename(tensors, rules, unused, str(directory))
    activation = str(settings.get("hidden_act", "gelu"))
    if activation not in ACTIVATIONS:
        require(settings, {"hidden_act": " or ".join(ACTIVATIONS)}, where)
    size = whole(settings, "vocab_size", where)
    if len(tokenizer.vocabulary) > size:
        raise CheckpointError(
            where,
            f"vocab_size = {size:,} for {len(tokenizer.vocabulary):,} tokens",
            "a row for every token",
            "the tokenizer and the weights of one and the same model",
        )
    parts = {name.split(".")[0] for name in renamed}
    _check_head(settings, parts, where)
    sizes: dict[str, Any] = read_sizes(settings, where)
    config = BertConfig(
        **sizes,
        vocabulary_size=size,
        mask_id=tokenizer.mask_id,
        pad_id=tokenizer.pad_id,
        num_types=whole(settings, "type_vocab_size", where, 2),
        layer_norm_eps=read_eps(settings, where, 1e-12),
        positions=positions,  # type: ignore[arg-type]
        feed_forward=activation if feed_forward == "gelu" else feed_forward,
        head_activation=activation,
        language_model_head="language_model_head" in parts,
        tied_head=is_tied,
        pooler="pooler" in parts,
        next_sentence_head="next_sentence_head" in parts,
        context=whole(settings, "max_position_embeddings", where, 512),
    )
    with no_values():
        network = Bert(config)
    fill(network, renamed, str(directory))
    notes = note_placeholders(read.placeholders)
    return Loaded(network.eval(), tokenizer, accounting, "bert", layout, notes)


def _check_head(settings: Mapping[str, object], parts: set[str], where: str) -> None:
    """A config that promises the language-model head and weights without it do not fit."""
    promised = settings.get("architectures") in (["BertForMaskedLM"], ["BertForPreTraining"])
    if promised and "language_model_head" not in parts:
        raise CheckpointError(
            where,
            "a language model in the config but no cls.predictions tensor in the weights",
            "the trained head, which would stay random otherwise",
            "the whole checkpoint, or architectures BertModel for the bare encoder",
        )


def _split_fused(tensors: Mapping[str, Tensor], where: str) -> dict[str, Tensor]:
    """Wqkv holds queries, keys and values on top of each other."""
    split: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if ".attention.self.Wqkv." not in name:
            split[name] = tensor
            continue
        if tensor.shape[0] % 3:
            raise CheckpointError(
                where, f"{name} of shape {tuple(tensor.shape)}", "three equal parts", "the weights"
            )
        for part, piece in zip(("query", "key", "value"), tensor.chunk(3), strict=True):
            split[name.replace("Wqkv", part)] = piece
    return split


def _words(directory: Path) -> list[str]:
    path = directory / "vocab.txt"
    return read_lines(path) if path.is_file() else []


def _text_tokenizer(directory: Path, alphabet: str) -> Tokenizer:
    """From tokenizer.json, or from BERT's list of words."""
    path = directory / "tokenizer.json"
    if path.is_file():
        return LibraryTokenizer(path.read_text(encoding="utf-8"), alphabet)
    words = read_lines(directory / "vocab.txt")
    told = directory / "tokenizer_config.json"
    lower = read_json(told).get("do_lower_case", True) if told.is_file() else True
    return LibraryTokenizer(word_piece_text(words, bool(lower)), alphabet)
