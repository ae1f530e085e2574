"""Writes a model in a published layout: what the readers of this room, and other packages, read."""

import argparse
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from lexome.architectures.bert import Bert
from lexome.architectures.encoder import Encoder
from lexome.checkpoints import from_bert, from_fair
from lexome.checkpoints.from_esm import VARIANTS, Variant, rules_of
from lexome.checkpoints.renaming import Rule
from lexome.errors import InputError
from lexome.results.files import atomic_path, write_json, write_text
from lexome.tokenizers.interface import Tokenizer
from lexome.tokenizers.library import LibraryTokenizer
from lexome.tokenizers.six_mers import SixMerTokenizer

LAYOUTS = ("hf", "fair")
_FREQUENCIES = "rotary.inv_freq"


def save_model(
    network: Any, tokenizer: Tokenizer, layout: str, directory: Path, to: str, dtype: torch.dtype
) -> Path:
    """A model in the Hugging Face layout of its family, or in fair-esm's.

    Args:
        layout: the one that it was read from.
        directory: made here; each file whole or not at all.
        to: "hf" or "fair".
        dtype: of the stored numbers; frequencies of rotary positions stay fp32.

    Returns:
        What `--model` takes: the directory, or fair-esm's file.

    Raises:
        InputError: a family that has no such layout.
    """
    if to not in LAYOUTS:
        raise InputError("to", repr(to), " or ".join(LAYOUTS), "`--to hf`")
    variant = VARIANTS.get(layout.replace("fair-", ""))
    is_esm = isinstance(network, Encoder) and variant is not None
    if not (is_esm and (to == "hf" or variant.is_protein)) and not (  # type: ignore[union-attr]
        isinstance(network, Bert) and to == "hf"
    ):
        raise InputError(
            "to", f"{to} for {layout}", "a layout that the family was published in", "`--to hf`"
        )
    directory.mkdir(parents=True, exist_ok=True)
    if isinstance(network, Bert):
        save_bert(network, tokenizer, layout, directory, dtype)
        return directory
    assert variant is not None
    if to == "fair":
        return save_fair(network, variant, directory, dtype)
    save_esm(network, tokenizer, variant, directory, dtype, frequencies=True)
    return directory


def save_esm(
    network: Encoder,
    tokenizer: Tokenizer,
    variant: Variant,
    directory: Path,
    dtype: torch.dtype = torch.float32,
    frequencies: bool = False,
) -> None:
    """config.json, vocab.txt and model.safetensors of an ESM or Nucleotide Transformer model.

    The directory loads here, and with transformers' `EsmForMaskedLM` where the family is one of
    its own. Without `frequencies`, rotary ones are left out: both recompute them.
    """
    config = network.config
    state = network.state_dict()
    tensors = publish(state, rules_of(variant)[0], "esm.", ("lm_head.",), dtype)
    if frequencies and variant.positions == "rotary":
        for i in range(config.num_layers):
            name = f"esm.encoder.layer.{i}.attention.self.rotary_embeddings.inv_freq"
            tensors[name] = state[_FREQUENCIES].clone()
    kind = "EsmForMaskedLM" if config.language_model_head else "EsmModel"
    told: dict[str, Any] = variant.required | {
        "architectures": [kind],
        "num_hidden_layers": config.num_layers,
        "hidden_size": config.width,
        "num_attention_heads": config.num_heads,
        "intermediate_size": config.ffn_width,
        "vocab_size": config.vocabulary_size,
        "mask_token_id": config.mask_id,
        "token_dropout": config.token_dropout,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        "layer_norm_eps": config.layer_norm_eps,
        "max_position_embeddings": config.context + 2,
        "dtype": str(dtype).removeprefix("torch."),
    }
    del told["rope_theta"]
    if variant.feed_forward == "swiglu":  # as published: by its name only, and never run here
        del told["model_type"]
        told["auto_map"] = {
            "AutoConfig": "esm_config.EsmConfig",
            "AutoModelForMaskedLM": "modeling_esm.EsmForMaskedLM",
        }
    write_files(directory, told, tensors)
    write_text(directory / "vocab.txt", "\n".join(tokenizer.vocabulary) + "\n")
    if isinstance(tokenizer, SixMerTokenizer):
        eos = "<eos>" if tokenizer.append_eos else None
        facts = {"tokenizer_class": "EsmTokenizer", "eos_token": eos}
        write_json(directory / "tokenizer_config.json", facts)


def save_fair(network: Encoder, variant: Variant, directory: Path, dtype: torch.dtype) -> Path:
    """A .pt file of fair-esm and the one of its contact regression beside it.

    ESM-2 is told by the start of its name, the others by their settings.
    """
    config, state = network.config, dict(network.state_dict())
    frequencies = state.pop(_FREQUENCIES, None)
    is_rotary = variant.positions == "rotary"
    rules = [*from_fair.RULES, *([] if is_rotary else from_fair.LEARNED)]
    tensors = publish(state, rules, "", (), dtype)
    if frequencies is not None:
        for i in range(config.num_layers):
            name = f"{from_fair.SENTENCE}layers.{i}.self_attn.rot_emb.inv_freq"
            tensors[name] = frequencies.clone()
    # The same storage twice, as the tied head is published.
    tensors[f"{from_fair.HEAD}lm_head.weight"] = tensors[f"{from_fair.SENTENCE}embed_tokens.weight"]
    contacts = {k: tensors.pop(k) for k in list(tensors) if k.startswith("contact_head.")}
    settings = argparse.Namespace(
        arch="masked_lm_transformer" if is_rotary else "roberta_large",
        encoder_layers=config.num_layers,
        encoder_embed_dim=config.width,
        encoder_ffn_embed_dim=config.ffn_width,
        encoder_attention_heads=config.num_heads,
        max_positions=config.context,
        token_dropout=config.token_dropout,
        dropout=0.0,
        attention_dropout=0.0,
        activation_dropout=0.0,
    )
    if config.ffn_width != 4 * config.width:
        raise InputError(
            "to",
            f"fair with a feed-forward of {config.ffn_width} at width {config.width}",
            "four times the width, which fair-esm takes for granted",
            "`--to hf`",
        )
    path = directory / f"{variant.name}_t{config.num_layers}_{config.width}.pt"
    head: dict[str, Any] = {"cfg": {"model": settings}} if is_rotary else {"args": settings}
    with atomic_path(path) as temporary:
        torch.save(head | {"model": tensors}, temporary)
    if contacts:
        with atomic_path(path.with_name(path.stem + from_fair.CONTACTS)) as temporary:
            torch.save({"model": contacts}, temporary)
    return path


def save_bert(
    network: Bert, tokenizer: Tokenizer, layout: str, directory: Path, dtype: torch.dtype
) -> None:
    """config.json, tokenizer and model.safetensors of BERT, DNABERT or DNABERT-2."""
    config, is_second = network.config, layout == "dnabert-2"
    rules = from_bert.DNABERT2_RULES if is_second else from_bert.BERT_RULES
    rules = [*rules, from_bert.TIED if config.tied_head else from_bert.UNTIED]
    tensors = publish(network.state_dict(), rules, "bert.", ("cls.",), dtype)
    if is_second:
        for i in range(config.num_layers):
            place = f"bert.encoder.layer.{i}.attention.self."
            for kind in ("weight", "bias"):
                parts = [tensors.pop(f"{place}{p}.{kind}") for p in ("query", "key", "value")]
                tensors[f"{place}Wqkv.{kind}"] = torch.cat(parts)
    kind = "BertForPreTraining" if config.next_sentence_head else "BertForMaskedLM"
    told: dict[str, Any] = {
        "architectures": [kind if config.language_model_head else "BertModel"],
        "num_hidden_layers": config.num_layers,
        "hidden_size": config.width,
        "num_attention_heads": config.num_heads,
        "intermediate_size": config.ffn_width,
        "vocab_size": config.vocabulary_size,
        "pad_token_id": config.pad_id,
        "type_vocab_size": config.num_types,
        "max_position_embeddings": config.context,
        "layer_norm_eps": config.layer_norm_eps,
        "hidden_act": config.head_activation,
        "position_embedding_type": "absolute",
        "tie_word_embeddings": config.tied_head,
        "dtype": str(dtype).removeprefix("torch."),
    }
    told |= {"alibi_starting_size": config.context} if is_second else {"model_type": "bert"}
    write_files(directory, told, tensors)
    if isinstance(tokenizer, LibraryTokenizer):
        text = tokenizer.settings()["text"]
        write_text(directory / "tokenizer.json", text)
        if json.loads(text)["model"]["type"] == "WordPiece":
            write_text(directory / "vocab.txt", "\n".join(tokenizer.vocabulary) + "\n")
    else:
        write_text(directory / "vocab.txt", "\n".join(tokenizer.vocabulary) + "\n")
        write_json(directory / "tokenizer_config.json", {"do_lower_case": False})


def publish(
    state: Mapping[str, Tensor],
    rules: Sequence[Rule],
    prefix: str,
    bare: tuple[str, ...],
    dtype: torch.dtype,
) -> dict[str, Tensor]:
    """Our tensors under their published names: each by the first rule that gives it, backwards.

    Args:
        prefix: of the bare encoder's tensors.
        bare: how names begin that have no prefix.
    """
    published = {}
    for ours, tensor in state.items():
        if ours == _FREQUENCIES:
            continue
        name = published_name(ours, rules)
        name = name if name.startswith(bare) and bare else f"{prefix}{name}"
        published[name] = tensor.detach().cpu().to(dtype).contiguous()
    return published


def published_name(ours: str, rules: Sequence[Rule]) -> str:
    """The published name of one of our tensors.

    >>> published_name("blocks.3.attention.query.weight", rules_of(VARIANTS["esm2"])[0])
    'encoder.layer.3.attention.self.query.weight'
    """
    for rule in rules:
        match = re.fullmatch(re.escape(rule.ours).replace(r"\{i\}", r"(?P<i>\d+)"), ours)
        if match:
            return rule.published.replace("{i}", match.groupdict().get("i") or "")
    raise KeyError(ours)


def write_files(directory: Path, told: dict[str, Any], tensors: dict[str, Tensor]) -> None:
    """config.json and model.safetensors, each whole or not at all."""
    with atomic_path(directory / "model.safetensors") as temporary:
        save_file(tensors, temporary, metadata={"format": "pt"})
    write_json(directory / "config.json", told)
