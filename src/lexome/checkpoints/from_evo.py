"""Evo-1 (StripedHyena) in its hub layout: config.json, safetensors, bytes for tokens."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lexome.architectures.striped_hyena import StripedHyena, StripedHyenaConfig
from lexome.checkpoints.blank import no_values
from lexome.checkpoints.from_esm import strip_prefix
from lexome.checkpoints.loaded import Loaded
from lexome.checkpoints.renaming import Rule, Unused, fill, note_placeholders, rename
from lexome.checkpoints.settings import require, whole
from lexome.checkpoints.weight_files import read_json, read_tensors
from lexome.errors import CheckpointError
from lexome.layers.rotary import Rotary
from lexome.tokenizers.single_bases import ByteTokenizer

_BLOCK = "blocks.{i}."
RULES = [
    Rule("embedding_layer.weight", "embedding.weight"),
    Rule("norm.scale", "final_norm.scale"),
    *(
        Rule(f"{_BLOCK}{theirs}", f"{_BLOCK}{ours}")
        for theirs, ours in {
            "pre_norm.scale": "mixer_norm.scale",
            "post_norm.scale": "feed_forward_norm.scale",
            "mlp.l1l2.weight": "feed_forward.up.weight",  # put together before names are looked up
            "mlp.l3.weight": "feed_forward.down.weight",
            "projections.weight": "mixer.project.weight",
            "projections.bias": "mixer.project.bias",
            "filter.short_filter_weight": "mixer.short_filter.weight",
            "filter.short_filter_bias": "mixer.short_filter.bias",
            "filter.D": "mixer.skip",
            "filter.poles": "mixer.long_filter.poles",
            "filter.residues": "mixer.long_filter.residues",
            "out_filter_dense.weight": "mixer.output.weight",
            "out_filter_dense.bias": "mixer.output.bias",
            **{
                f"inner_mha_cls.{part}.{kind}": f"mixer.{ours}.{kind}"
                for part, ours in {
                    "Wqkv.query": "query",  # cut before the names are looked up
                    "Wqkv.key": "key",
                    "Wqkv.value": "value",
                    "out_proj": "output",
                }.items()
                for kind in ("weight", "bias")
            },
        }.items()
    ),
]
TIED = Rule("unembed.weight", "embedding.weight")  # where it is stored, it must be the same
UNTIED = Rule("unembed.weight", "language_model_head.rows")
UNUSED = [
    Unused(
        f"{_BLOCK}inner_mha_cls.rotary_emb.inv_freq",
        "rounded to bf16 when it was saved; the published code makes the frequencies anew in fp32",
    )
]
# What every config of this layout must say, and may leave out.
REQUIRED = {
    "model_type": "stripedhyena",
    "proj_groups": 1,
    "short_filter_length": 3,
    "short_filter_bias": True,
    "qkv_proj_bias": True,
    "mha_out_proj_bias": True,
    "final_norm": True,
    "smeared_gqa": False,
}
# Must be said: where it is not, the published code computes something else than Evo.
SAID = {"mlp_activation": "gelu", "hyena_filter_groups": 1}


def load_evo(directory: Path) -> Loaded:
    """The Evo-1 model of a directory, in fp32 on the CPU.

    Nothing in the files tells whether their projections lie in the right order (a first export
    of two models did not): the catalogue's names hold the revisions that do.

    Raises:
        CheckpointError: a setting, tensor name or shape that is not the family's.
    """
    where = str(directory / "config.json")
    settings = read_json(directory / "config.json")
    require(settings, REQUIRED, where)
    require({key: settings.get(key) for key in SAID}, SAID, where)
    config = read_config(settings, where)
    read = read_tensors(directory)
    tensors = strip_prefix(read.by_name, "backbone.", str(directory))
    rules = [*RULES, TIED if config.tied_head else UNTIED]
    renamed, accounting = rename(to_bricks(tensors, str(directory)), rules, UNUSED, str(directory))
    with no_values():
        network = StripedHyena(config)
    if config.attention_layers:
        renamed["rotary.inv_freq"] = Rotary(config.head_width, config.rotary_base).inv_freq
    fill(network, renamed, str(directory))
    notes = note_placeholders(read.placeholders)
    return Loaded(network.eval(), ByteTokenizer(), accounting, "striped-hyena", "evo-1", notes)


def to_bricks(tensors: Mapping[str, Tensor], where: str) -> dict[str, Tensor]:
    """Wqkv in its three parts, l1 on top of l2, poles and residues without their empty axis.

    Raises:
        CheckpointError: a shape that cannot be cut.
    """
    made: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if ".Wqkv." in name:
            if tensor.shape[0] % 3:
                _refuse_shape(where, name, tensor, "queries, keys and values on top of each other")
            for part, piece in zip(("query", "key", "value"), tensor.chunk(3), strict=True):
                made[name.replace("Wqkv.", f"Wqkv.{part}.")] = piece
        elif name.endswith(".mlp.l1.weight") and (other := name[:-9] + "l2.weight") in tensors:
            value = tensors[other]
            if value.shape != tensor.shape:
                _refuse_shape(where, other, value, f"{tuple(tensor.shape)}, as its gate's")
            made[name.replace(".l1.", ".l1l2.")] = torch.cat([tensor, value])
        elif name.endswith(".mlp.l2.weight") and name[:-9] + "l1.weight" in tensors:
            continue
        elif name.endswith((".filter.poles", ".filter.residues")):
            if tensor.dim() != 4 or tensor.shape[2:] != (1, 2):
                _refuse_shape(where, name, tensor, "(width, states, 1, 2)")
            if tensor.dtype != torch.float32:
                raise CheckpointError(
                    where, f"{name} in {tensor.dtype}", "fp32: rounded, the model is another one",
                    "the published weights",
                )  # fmt: skip
            made[name] = tensor[:, :, 0]
        else:
            made[name] = tensor
    return made


def read_config(settings: Mapping[str, object], where: str) -> StripedHyenaConfig:
    """Sizes and switches.

    Raises:
        CheckpointError: naming the key.
    """
    num_layers, width = whole(settings, "num_layers", where), whole(settings, "hidden_size", where)
    num_heads = whole(settings, "num_attention_heads", where)
    attention = _layers(settings, "attn_layer_idxs", num_layers, where)
    hyena = _layers(settings, "hyena_layer_idxs", num_layers, where)
    if sorted(attention + hyena) != list(range(num_layers)):
        raise CheckpointError(
            where,
            f"attn_layer_idxs {attention} and hyena_layer_idxs {hyena}",
            f"each of the {num_layers} layers in one of them",
            "the published config",
        )
    require(settings, {"num_filters": width}, where)
    if width % num_heads or (width // num_heads) % 2:
        raise CheckpointError(
            where,
            f"num_attention_heads = {num_heads} for hidden_size = {width}",
            "heads of an equal and even width",
            "the published config",
        )
    stretched = bool(settings.get("use_interpolated_rotary_pos_emb", False))
    return StripedHyenaConfig(
        num_layers=num_layers,
        width=width,
        num_heads=num_heads,
        inner_width=_inner_width(settings, width, where),
        attention_layers=attention,
        num_states=whole(settings, "state_size", where),
        vocabulary_size=whole(settings, "vocab_size", where),
        context=whole(settings, "max_seqlen", where, 8192),
        norm_eps=_number(settings, "eps", 1e-6, where),
        rotary_base=_number(settings, "rotary_emb_base", 10000.0, where),
        interpolation=_number(settings, "rotary_emb_scaling_factor", 1.0, where)
        if stretched
        else 1.0,
        column_split=bool(settings.get("column_split_hyena", True)),
        tied_head=bool(settings.get("tie_embeddings", True)),
    )


def _layers(
    settings: Mapping[str, object], key: str, num_layers: int, where: str
) -> tuple[int, ...]:
    value = settings.get(key)
    if not isinstance(value, list) or not all(type(i) is int for i in value):
        raise CheckpointError(where, f"{key} = {value!r}", "numbers of layers", "the whole config")
    return tuple(value)


def _inner_width(settings: Mapping[str, object], width: int, where: str) -> int:
    """Where it is null: two thirds of 4 x width, up to the next multiple."""
    if settings.get("inner_mlp_size") is not None:
        return whole(settings, "inner_mlp_size", where)
    multiple = whole(settings, "inner_size_multiple_of", where, 64)
    inner = int(2 * width * 4 / 3)
    return inner + -inner % multiple


def _number(settings: Mapping[str, object], key: str, default: float, where: str) -> float:
    value: Any = settings.get(key, default)
    if type(value) not in (int, float) or not value > 0:
        raise CheckpointError(
            where, f"{key} = {value!r}", "a positive number", "the published config"
        )
    return float(value)


def _refuse_shape(where: str, name: str, tensor: Tensor, expected: str) -> None:
    raise CheckpointError(
        where, f"{name} of shape {tuple(tensor.shape)}", expected, "the published weights"
    )
