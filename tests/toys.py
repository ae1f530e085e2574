"""Tiny tables and models that a test makes in an instant, every one the same each time."""

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import polars as pl
import torch
from safetensors.torch import save_file

from lexome.architectures.encoder import Encoder, EncoderConfig
from lexome.tokenizers.character import esm_vocabulary

AMINO_ACIDS = "ACDEFGHIKLMNPQRSTVWY"
MOTIF = "WCHWYM"
FIVE_PARTS = ("train", "train", "train", "validation", "test")
# Our names of tensors and those of transformers' EsmForMaskedLM, written down apart from the
# table in lexome/checkpoints/from_esm.py so that one checks the other.
OUTSIDE = {
    "embedding.tokens.weight": "esm.embeddings.word_embeddings.weight",
    "final_norm.weight": "esm.encoder.emb_layer_norm_after.weight",
    "final_norm.bias": "esm.encoder.emb_layer_norm_after.bias",
    "contact_head.regression.weight": "esm.contact_head.regression.weight",
    "contact_head.regression.bias": "esm.contact_head.regression.bias",
    "language_model_head.bias": "lm_head.bias",
    "language_model_head.dense.weight": "lm_head.dense.weight",
    "language_model_head.dense.bias": "lm_head.dense.bias",
    "language_model_head.norm.weight": "lm_head.layer_norm.weight",
    "language_model_head.norm.bias": "lm_head.layer_norm.bias",
}
IN_A_LAYER = {
    "attention_norm": "attention.LayerNorm",
    "attention.query": "attention.self.query",
    "attention.key": "attention.self.key",
    "attention.value": "attention.self.value",
    "attention.output": "attention.output.dense",
    "feed_forward_norm": "LayerNorm",
    "feed_forward.up": "intermediate.dense",
    "feed_forward.down": "output.dense",
}


def random_sequence(generator: np.random.Generator, low: int = 30, high: int = 60) -> str:
    """A protein of random residues."""
    return "".join(generator.choice(list(AMINO_ACIDS), generator.integers(low, high)))


def motif_table(
    num: int = 120,
    seed: int = 0,
    share: float = 0.5,
    scrambled: bool = True,
    lengths: tuple[int, int] = (30, 60),
) -> pl.DataFrame:
    """Proteins with label 1 where they hold MOTIF, and label 0 where they hold it scrambled.

    Both kinds have the same composition, so only the order of residues tells them apart; without
    `scrambled`, which is easier, the others hold random residues instead. `part` puts six tenths
    into train and two into validation and test each, with equal shares of labels.
    """
    generator = np.random.default_rng(seed)
    rows: list[tuple[object, ...]] = []
    num_of = {True: 0, False: 0}  # rows of either label so far
    for i in range(num):
        label = int((i + 1) * share) > int(i * share)
        letters = MOTIF
        while not label and letters == MOTIF:
            pool = MOTIF if scrambled else AMINO_ACIDS
            letters = "".join(generator.permutation(list(pool))[: len(MOTIF)])
        sequence = random_sequence(generator, *lengths)
        at = int(generator.integers(0, len(sequence)))
        part = FIVE_PARTS[num_of[label] % 5]
        num_of[label] += 1
        rows.append((f"p{i}", sequence[:at] + letters + sequence[at:], int(label), part))
    return pl.DataFrame(rows, schema=["id", "sequence", "label", "part"], orient="row")


def rich_table(num: int = 120, seed: int = 0) -> pl.DataFrame:
    """Proteins poor or rich in W and in K: columns for every kind of task.

    `kind` has three classes, `tags` several labels joined by ";" (or "none" of them), `has_w` and
    `has_k` the same as 0 and 1, `amount` is the share of W.
    """
    generator = np.random.default_rng(seed)
    rows = []
    for i in range(num):
        rich_in_w, rich_in_k = i % 2 == 1, (i // 2) % 2 == 1
        extra = "W" * (rich_in_w * generator.integers(8, 14))
        extra += "K" * (rich_in_k * generator.integers(8, 14))
        sequence = "".join(generator.permutation(list(random_sequence(generator) + extra)))
        tags = ";".join(["wet"] * rich_in_w + ["charged"] * rich_in_k) or "plain"
        kind = "wet" if rich_in_w else ("charged" if rich_in_k else "plain")
        part = FIVE_PARTS[(i // 4) % 5]
        amount = sequence.count("W") / len(sequence)
        rows.append((f"p{i}", sequence, kind, tags, int(rich_in_w), int(rich_in_k), amount, part))
    names = ["id", "sequence", "kind", "tags", "has_w", "has_k", "amount", "part"]
    return pl.DataFrame(rows, schema=names, orient="row")


def write_fasta(path: Path, records: Iterable[tuple[str, str]]) -> Path:
    """Records as FASTA."""
    path.write_text("".join(f">{name}\n{sequence}\n" for name, sequence in records))
    return path


def random_proteins(num: int, seed: int = 0, low: int = 20, high: int = 120) -> list[str]:
    """Random proteins of mixed length."""
    generator = np.random.default_rng(seed)
    return [random_sequence(generator, low, high) for _ in range(num)]


def random_encoder(seed: int = 0) -> Encoder:
    """An encoder of ESM-2's architecture with two layers of width 32 and random weights."""
    network = Encoder(EncoderConfig(num_layers=2, width=32, num_heads=4, ffn_width=64))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
            if "norm" in name and name.endswith("weight"):
                parameter.add_(1.0)
    return network.eval()


def write_esm2(folder: Path, seed: int = 0) -> Path:
    """A directory in the layout of the published ESM-2 models that holds `random_encoder(seed)`."""
    folder.mkdir(parents=True, exist_ok=True)
    network = random_encoder(seed)
    tensors = {outside_name(name): p.detach() for name, p in network.named_parameters()}
    save_file(tensors, folder / "model.safetensors")
    config = {
        "model_type": "esm",
        "num_hidden_layers": network.config.num_layers,
        "hidden_size": network.config.width,
        "num_attention_heads": network.config.num_heads,
        "intermediate_size": network.config.ffn_width,
        "vocab_size": 33,
        "mask_token_id": 32,
        "pad_token_id": 1,
        "layer_norm_eps": 1e-5,
        "position_embedding_type": "rotary",
        "token_dropout": True,
        "emb_layer_norm_before": False,
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "vocab.txt").write_text("\n".join(esm_vocabulary()) + "\n")
    return folder


def outside_name(name: str) -> str:
    """The published name of one of our tensors."""
    if name in OUTSIDE:
        return OUTSIDE[name]
    _, layer, rest = name.split(".", 2)
    brick, kind = rest.rsplit(".", 1)
    return f"esm.encoder.layer.{layer}.{IN_A_LAYER[brick]}.{kind}"
