"""T5 in the Hugging Face layout: ProtT5, ProstT5, Ankh, and files that hold an encoder alone."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from lexome.architectures.t5 import T5, T5Config
from lexome.checkpoints.blank import no_values
from lexome.checkpoints.loaded import Loaded
from lexome.checkpoints.renaming import Accounting, Rule, Unused, fill, note_placeholders, rename
from lexome.checkpoints.settings import read_eps, require, whole
from lexome.checkpoints.t5_tokens import read_tokens
from lexome.checkpoints.weight_files import read_json, read_tensors
from lexome.errors import CheckpointError
from lexome.layers.feed_forward import ACTIVATIONS
from lexome.layers.t5_block import GATED
from lexome.tokenizers.residues import ResidueTokenizer

_ATTENTION = {"q": "query", "k": "key", "v": "value", "o": "output"}


def _stack(stack: str, parts: Mapping[str, tuple[str, str]], last: int) -> list[Rule]:
    """Rules of one stack: of each layer's attentions, then its feed-forward, then the rest."""
    theirs, ours = f"{stack}.block.{{i}}.layer.", f"{stack}.blocks.{{i}}."
    rules = [
        Rule(f"{stack}.final_layer_norm.weight", f"{stack}.final_norm.weight"),
        Rule(
            f"{stack}.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
            f"{stack}.relative.table.weight",
        ),
        Rule(f"{theirs}{last}.layer_norm.weight", f"{ours}feed_forward_norm.weight"),
    ]
    for number, (name, own) in parts.items():
        rules.append(Rule(f"{theirs}{number}.layer_norm.weight", f"{ours}{own}_norm.weight"))
        rules += [
            Rule(f"{theirs}{number}.{name}.{t}.weight", f"{ours}{own}.{o}.weight")
            for t, o in _ATTENTION.items()
        ]
    fed = {"wi": "up", "wi_0": "gate", "wi_1": "lift", "wo": "down"}
    rules += [
        Rule(f"{theirs}{last}.DenseReluDense.{t}.weight", f"{ours}feed_forward.{o}.weight")
        for t, o in fed.items()
    ]
    return rules


RULES = [
    Rule("shared.weight", "embedding.weight"),
    # Copies, where a file has them: all must hold the same values.
    Rule("encoder.embed_tokens.weight", "embedding.weight"),
    Rule("decoder.embed_tokens.weight", "embedding.weight"),
    *_stack("encoder", {"0": ("SelfAttention", "attention")}, 1),
    *_stack("decoder", {"0": ("SelfAttention", "attention"), "1": ("EncDecAttention", "cross")}, 2),
    Rule("lm_head.weight", "decoder.head.rows"),
]
UNUSED = [
    Unused(
        "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight",
        "a leftover of early versions: nothing is added where the source is attended to",
    )
]
TIED = "the same values as the embedding's, which stand for it"
# Classes whose files hold a decoder with the head that it was trained with.
WHOLE = (["T5ForConditionalGeneration"], ["T5WithLMHeadModel"])


def load_t5(directory: Path) -> Loaded:
    """The T5 model of a directory, in fp32 on the CPU: both stacks, or the encoder alone.

    Raises:
        CheckpointError: a setting, tensor name, shape or token that is not the family's.
    """
    where = str(directory / "config.json")
    settings = read_json(directory / "config.json")
    require(settings, {"model_type": "t5", "is_decoder": False}, where)
    read = read_tensors(directory)
    renamed, accounting = rename(read.by_name, RULES, UNUSED, str(directory))
    _join_gates(renamed, accounting, str(directory))
    has_decoder = any(name.startswith("decoder.block.") for name in read.by_name)
    head = _find_head(settings, renamed, accounting, has_decoder, where)
    config = _read_config(settings, has_decoder, head, where)
    is_gated = config.feed_forward.startswith(GATED)
    tokenizer = read_tokens(
        directory, config.vocabulary_size, not is_gated, config.pad_id, config.eos_id
    )
    with no_values():
        network = T5(config)
    fill(network, renamed, str(directory))
    is_prost = isinstance(tokenizer, ResidueTokenizer) and tokenizer.prefix is not None
    layout = "ankh" if is_gated else "prostt5" if is_prost else "prott5"
    notes = note_placeholders(read.placeholders)
    return Loaded(network.eval(), tokenizer, accounting, "t5", layout, notes)


def _join_gates(tensors: dict[str, Tensor], accounting: Accounting, where: str) -> None:
    """Gate and lift of a gated feed-forward lie in one linear, the gate's rows first."""
    for gate in [name for name in tensors if name.endswith(".feed_forward.gate.weight")]:
        lift, up = gate.replace(".gate.", ".lift."), gate.replace(".gate.", ".up.")
        if lift not in tensors or up in tensors or tensors[lift].shape != tensors[gate].shape:
            raise CheckpointError(
                where,
                f"wi_0 without a wi_1 of the same shape, or beside wi ({up})",
                "wi alone, or wi_0 and wi_1",
                "the published weights",
            )
        tensors[up] = torch.cat([tensors.pop(gate), tensors.pop(lift)])
        for published, ours in accounting.used.items():
            if ours in (gate, lift):
                accounting.used[published] = up


def _find_head(
    settings: Mapping[str, object],
    tensors: dict[str, Tensor],
    accounting: Accounting,
    has_decoder: bool,
    where: str,
) -> Literal["tied", "own", "none"]:
    """Whose rows score tokens. The file decides: a second matrix counts whatever the flag says."""
    own, embedding = tensors.get("decoder.head.rows"), tensors.get("embedding.weight")
    if own is not None and embedding is not None and torch.equal(own, embedding):
        del tensors["decoder.head.rows"], accounting.used["lm_head.weight"]
        accounting.unused["lm_head.weight"] = TIED
        return "tied"
    if own is not None and has_decoder:
        return "own"
    promised = settings.get("architectures") in WHOLE
    if promised and not has_decoder:
        raise CheckpointError(
            where,
            f"{settings['architectures']} in the config but no decoder in the weights",
            "both stacks",
            "the whole checkpoint, or architectures T5EncoderModel for the encoder alone",
        )
    # Files of transformers 5 always say tied, so this is one of an untied head that was lost.
    if not has_decoder or settings.get("tie_word_embeddings", True):
        return "tied"
    if promised:
        raise CheckpointError(
            where,
            "tie_word_embeddings = false but no lm_head.weight in the weights",
            "the trained head, which would stay random otherwise",
            "the whole checkpoint",
        )
    return "none"


def _read_config(
    settings: Mapping[str, object],
    has_decoder: bool,
    head: Literal["tied", "own", "none"],
    where: str,
) -> T5Config:
    names = {
        "num_layers": "num_layers",
        "width": "d_model",
        "num_heads": "num_heads",
        "head_width": "d_kv",
        "ffn_width": "d_ff",
        "vocabulary_size": "vocab_size",
    }
    sizes: dict[str, Any] = {ours: whole(settings, theirs, where) for ours, theirs in names.items()}
    buckets = whole(settings, "relative_attention_num_buckets", where, 32)
    distance = whole(settings, "relative_attention_max_distance", where, 128)
    if buckets < 4 or distance <= buckets // 2:
        raise CheckpointError(
            where,
            f"{buckets} buckets up to a distance of {distance}",
            "at least 4, half of them for a distance each",
            "the published config",
        )
    layers = 0
    if has_decoder:
        told = settings.get("num_decoder_layers")
        layers = whole(settings, "num_layers" if told is None else "num_decoder_layers", where)
    scaled = settings.get("scale_decoder_outputs", settings.get("tie_word_embeddings") is not False)
    if not isinstance(scaled, bool):
        require(settings, {"scale_decoder_outputs": True}, where)
    ids: dict[str, Any] = {
        ours: _read_id(settings, theirs, default, where) for ours, theirs, default in IDS
    }
    return T5Config(
        **sizes,
        **ids,
        decoder=has_decoder,
        decoder_layers=layers,
        feed_forward=_read_feed_forward(settings, where),
        num_buckets=buckets,
        max_distance=distance,
        norm_eps=read_eps(settings, where, 1e-6, "layer_norm_epsilon"),
        head=head,
        scaled_head=bool(scaled),
        context=whole(settings, "n_positions", where, 512),
    )


IDS = (
    ("pad_id", "pad_token_id", 0),
    ("eos_id", "eos_token_id", 1),
    ("start_id", "decoder_start_token_id", 0),
)


def _read_id(settings: Mapping[str, object], key: str, default: int, where: str) -> int:
    value = settings.get(key, default)
    if type(value) is not int or not 0 <= value < whole(settings, "vocab_size", where):
        raise CheckpointError(
            where, f"{key} = {value!r}", "the id of a token", "the published config"
        )
    return value


def _read_feed_forward(settings: Mapping[str, object], where: str) -> str:
    """An activation behind "gated-" or alone; "gated-gelu" means the approximate one."""
    told = str(settings.get("feed_forward_proj", "relu"))
    kind = "gated-gelu_new" if told == "gated-gelu" else told
    activation, is_gated = kind.removeprefix(GATED), kind.startswith(GATED)
    if activation not in ACTIVATIONS:
        known = ", ".join(ACTIVATIONS)
        raise CheckpointError(
            where,
            f"feed_forward_proj = {told!r}",
            f"one of {known}, alone or behind {GATED!r}",
            "a checkpoint of a published layout; nothing else is guessed",
        )
    # Written beside it by later versions: they follow from it.
    require(settings, {"dense_act_fn": activation, "is_gated_act": is_gated}, where)
    return kind
