"""Writes decoders in the layouts that they were published in: GPT-2's, and ProGen2's on the hub."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lexome.architectures.decoder import Decoder
from lexome.checkpoints.from_decoders import (
    ALPHABET,
    GPT2_RULES,
    HEAD,
    PROGEN2_RULES,
    SLABS,
)
from lexome.checkpoints.into_files import publish, write_files
from lexome.checkpoints.renaming import Rule
from lexome.results.files import write_json, write_text
from lexome.tokenizers.character import CharacterTokenizer
from lexome.tokenizers.interface import Tokenizer
from lexome.tokenizers.plain import PlainTokenizer, letters_text


def save_decoder(
    network: Decoder, tokenizer: Tokenizer, directory: Path, dtype: torch.dtype = torch.float32
) -> None:
    """config.json, tokenizer.json and model.safetensors; loads here and, GPT-2's, in transformers.

    The directory must exist. Rotary frequencies are left out, as they are in what was published.
    """
    is_progen2 = network.config.parallel
    told = _progen2_config(network) if is_progen2 else _gpt2_config(network)
    own = [] if is_progen2 or network.config.tied_head else [Rule("lm_head.weight", HEAD)]
    rules = [*(PROGEN2_RULES if is_progen2 else GPT2_RULES), *own]
    tensors = publish(network.state_dict(), rules, "transformer.", ("lm_head.",), dtype)
    for i in range(network.config.num_layers):
        join = _join_slabs if is_progen2 else _join_columns
        join(tensors, f"transformer.h.{i}.")
    write_files(directory, told | {"torch_dtype": str(dtype).removeprefix("torch.")}, tensors)
    _save_tokenizer(tokenizer, directory)


def _gpt2_config(network: Decoder) -> dict[str, Any]:
    config = network.config
    return {
        "model_type": "gpt2",
        "architectures": ["GPT2LMHeadModel"],
        "n_layer": config.num_layers,
        "n_embd": config.width,
        "n_head": config.num_heads,
        "n_inner": config.ffn_width,
        "n_positions": config.context,
        "vocab_size": config.vocabulary_size,
        "layer_norm_epsilon": config.layer_norm_eps,
        "activation_function": "gelu_new",
        "tie_word_embeddings": config.tied_head,
    }


def _progen2_config(network: Decoder) -> dict[str, Any]:
    config = network.config
    return {
        "model_type": "progen",
        "architectures": ["ProGenForCausalLM"],
        "n_layer": config.num_layers,
        "n_embd": config.width,
        "embed_dim": config.width,
        "n_head": config.num_heads,
        "n_inner": config.ffn_width,
        "n_positions": config.context,
        "rotary_dim": config.turned_width,
        "vocab_size": config.vocabulary_size,
        "vocab_size_emb": config.vocabulary_size,
        "vocab_size_lm_head": config.head_size or config.vocabulary_size,
        "layer_norm_epsilon": config.layer_norm_eps,
        "activation_function": "gelu_new",
        "scale_attn_weights": True,
    }


def _join_columns(tensors: dict[str, Tensor], place: str) -> None:
    """q, k and v side by side, and every matrix transposed."""
    for kind in ("weight", "bias"):
        parts = [tensors.pop(f"{place}attn.{name}.{kind}") for name in ("query", "key", "value")]
        tensors[f"{place}attn.c_attn.{kind}"] = torch.cat(parts)
    for name in [n for n in tensors if n.startswith(place) and tensors[n].dim() == 2]:
        tensors[name] = tensors[name].t().contiguous()


def _join_slabs(tensors: dict[str, Tensor], place: str) -> None:
    """Eight slabs, each of a part of q, of v and of k."""
    parts = [tensors.pop(f"{place}attn.{name}.weight") for name in ("query", "value", "key")]
    slabs = [part.view(SLABS, -1, part.shape[-1]) for part in parts]
    tensors[f"{place}attn.qkv_proj.weight"] = torch.cat(slabs, 1).flatten(0, 1)


def _save_tokenizer(tokenizer: Tokenizer, directory: Path) -> None:
    if isinstance(tokenizer, PlainTokenizer):
        told = tokenizer.settings()
        write_text(directory / "tokenizer.json", told["text"])
        ends = {f"{kind}_token": told[kind] for kind in ("bos", "eos", "pad")}
    else:
        assert isinstance(tokenizer, CharacterTokenizer)
        write_text(directory / "tokenizer.json", letters_text(tokenizer.vocabulary))
        ends = {"bos_token": "<cls>", "eos_token": "<eos>", "pad_token": "<pad>"}
    facts = ends | {ALPHABET: tokenizer.alphabet.name, "tokenizer_class": "PreTrainedTokenizerFast"}
    write_json(directory / "tokenizer_config.json", facts)
