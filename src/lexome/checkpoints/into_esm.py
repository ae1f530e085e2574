"""Writes an encoder as an ESM-2 directory in the Hugging Face layout: what `from_esm` reads."""

import re
from pathlib import Path

import torch
from safetensors.torch import save_file

from lexome.architectures.encoder import Encoder
from lexome.checkpoints.from_esm import VARIANTS, rules_of
from lexome.results.files import atomic_path, write_json, write_text
from lexome.tokenizers.character import esm_vocabulary

# Tensors that the published files hold without the prefix of the bare encoder.
HEADS = ("lm_head.",)


def save_esm2(network: Encoder, directory: Path, dtype: torch.dtype = torch.float32) -> None:
    """config.json, vocab.txt and model.safetensors, each whole or not at all.

    The directory loads here, and with transformers' `EsmForMaskedLM`. Rotary frequencies are left
    out: they are the ones that both recompute.
    """
    config = network.config
    tensors = {
        published_name(name): tensor.detach().cpu().to(dtype).contiguous()
        for name, tensor in network.state_dict().items()
        if name != "rotary.inv_freq"
    }
    with atomic_path(directory / "model.safetensors") as temporary:
        save_file(tensors, temporary, metadata={"format": "pt"})
    write_text(directory / "vocab.txt", "\n".join(esm_vocabulary()) + "\n")
    write_json(
        directory / "config.json",
        {
            "architectures": ["EsmForMaskedLM" if config.language_model_head else "EsmModel"],
            "model_type": "esm",
            "num_hidden_layers": config.num_layers,
            "hidden_size": config.width,
            "num_attention_heads": config.num_heads,
            "intermediate_size": config.ffn_width,
            "vocab_size": config.vocabulary_size,
            "pad_token_id": 1,
            "mask_token_id": config.mask_id,
            "token_dropout": config.token_dropout,
            "position_embedding_type": "rotary",
            "emb_layer_norm_before": False,
            "hidden_act": "gelu",
            "hidden_dropout_prob": 0.0,
            "attention_probs_dropout_prob": 0.0,
            "layer_norm_eps": config.layer_norm_eps,
            "max_position_embeddings": config.context + 2,
            "is_folding_model": False,
            "tie_word_embeddings": True,
            "dtype": str(dtype).removeprefix("torch."),
        },
    )


def published_name(ours: str) -> str:
    """The published name of one of our tensors: the first rule that gives it, read backwards.

    >>> published_name("blocks.3.attention.query.weight")
    'esm.encoder.layer.3.attention.self.query.weight'
    """
    for rule in rules_of(VARIANTS["esm2"])[0]:
        match = re.fullmatch(re.escape(rule.ours).replace(r"\{i\}", r"(?P<i>\d+)"), ours)
        if match:
            name = rule.published.replace("{i}", match.groupdict().get("i") or "")
            return name if name.startswith(HEADS) else f"esm.{name}"
    raise KeyError(ours)
