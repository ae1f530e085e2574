"""Writes StripedHyena models in the layout of Evo-1 on the hub."""

from pathlib import Path

import torch
from torch import Tensor

from lexome.architectures.striped_hyena import StripedHyena
from lexome.checkpoints.from_evo import REQUIRED, RULES, SAID, UNTIED
from lexome.checkpoints.into_files import publish, write_files
from lexome.layers.modal_filter import ModalFilter

FILTERS = ("filter.poles", "filter.residues")


def save_evo(network: StripedHyena, directory: Path, dtype: torch.dtype = torch.float32) -> None:
    """config.json and model.safetensors; tokens are bytes, which need no file.

    The directory must exist. Poles that were constrained in training are written as they are, and
    like residues in fp32 whatever the dtype.
    """
    config = network.config
    state = _with_plain_poles(network)
    rules = [*RULES, *([] if config.tied_head else [UNTIED])]
    tensors = publish(state, rules, "backbone.", (), dtype)
    for name, tensor in publish(state, rules, "backbone.", (), torch.float32).items():
        if name.endswith(FILTERS):
            tensors[name] = tensor[:, :, None].contiguous()
    for i in range(config.num_layers):
        _join(tensors, f"backbone.blocks.{i}.")
    attention = list(config.attention_layers)
    told = {
        **REQUIRED,
        **SAID,
        "architectures": ["StripedHyenaModelForCausalLM"],
        "num_layers": config.num_layers,
        "hidden_size": config.width,
        "num_filters": config.width,
        "num_attention_heads": config.num_heads,
        "inner_mlp_size": config.inner_width,
        "state_size": config.num_states,
        "vocab_size": config.vocabulary_size,
        "max_seqlen": config.context,
        "eps": config.norm_eps,
        "rotary_emb_base": config.rotary_base,
        "attn_layer_idxs": attention,
        "hyena_layer_idxs": [i for i in range(config.num_layers) if i not in attention],
        "column_split_hyena": config.column_split,
        "column_split": False,
        "tie_embeddings": config.tied_head,
        "torch_dtype": str(dtype).removeprefix("torch."),
    }
    if config.interpolation != 1.0:
        told |= {
            "use_interpolated_rotary_pos_emb": True,
            "rotary_emb_scaling_factor": config.interpolation,
        }
    write_files(directory, told, tensors)


def _with_plain_poles(network: StripedHyena) -> dict[str, Tensor]:
    state = dict(network.state_dict())
    for name, module in network.named_modules():
        if isinstance(module, ModalFilter) and module.constrained:
            del state[f"{name}.decay"], state[f"{name}.angle"]
            state[f"{name}.poles"] = torch.view_as_real(module.find_poles().detach())
    return state


def _join(tensors: dict[str, Tensor], place: str) -> None:
    """The gate and what it gates apart, q, k and v together."""
    both = tensors.pop(f"{place}mlp.l1l2.weight")
    for name, half in zip(("l1", "l2"), both.chunk(2), strict=True):
        tensors[f"{place}mlp.{name}.weight"] = half.contiguous()
    for kind in ("weight", "bias"):
        names = [f"{place}inner_mha_cls.Wqkv.{part}.{kind}" for part in ("query", "key", "value")]
        if names[0] in tensors:
            parts = [tensors.pop(name) for name in names]
            tensors[f"{place}inner_mha_cls.Wqkv.{kind}"] = torch.cat(parts)
