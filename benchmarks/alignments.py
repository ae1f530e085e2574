"""The MSA Transformer beside fair-esm's: the lines of it in families.py's table."""

import argparse
import copy
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

LAYERS, WIDTH, HEADS, SEED = 4, 480, 20, 0


def measure_alignments(number: int) -> list[str]:
    """The MSA Transformer beside fair-esm's; its default here is batches of 4, filled up."""
    import esm as fair

    from lexome.inference.model import load_alignment_model

    args = argparse.Namespace(
        arch="msa_transformer",
        encoder_layers=LAYERS,
        encoder_embed_dim=WIDTH,
        encoder_ffn_embed_dim=4 * WIDTH,
        encoder_attention_heads=HEADS,
        max_positions=1024,
        embed_positions_msa=True,
    )
    more = {k.removeprefix("encoder_"): v for k, v in vars(args).items() if k.startswith("enc")}
    rates = dict.fromkeys(("dropout", "attention_dropout", "activation_dropout"), 0.0)
    torch.manual_seed(SEED)
    whole = argparse.Namespace(**vars(args), **more, **rates, max_tokens=2**14)
    alphabet = fair.data.Alphabet.from_architecture("msa_transformer")
    peer = fair.model.msa_transformer.MSATransformer(whole, alphabet).eval()
    disk = {}
    for name, value in peer.state_dict().items():
        turned = {"row_self": "column_self", "column_self": "row_self"}
        old = next((key for key in turned if key in name), None)
        place = name.replace(old, turned[old]) if old else name
        head = "" if name.startswith("contact") else "encoder."
        if head and not name.startswith("lm_head."):
            head += "sentence_encoder."
        disk[head + place] = value
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        torch.save({"args": args, "model": disk}, Path(folder, "esm_msa1b.pt"))
        ours = {d: load_alignment_model(folder, dtype=d, device="cpu") for d in ("fp32", "bf16")}
        drawn = draw_alignments(4 * number + 4)
        chunks = [drawn[i : i + 4] for i in range(0, len(drawn), 4)]
        half = copy.deepcopy(peer).bfloat16()
        contenders: dict[str, Callable[[list[torch.Tensor]], list[torch.Tensor]]] = {
            "peer default": lambda chunk: run_fair_padded(peer, chunk),
            "peer best fp32": lambda chunk: [run_fair(peer, one) for one in chunk],
            "lexome fp32": lambda chunk: [ours["fp32"].network(one) for one in chunk],
            "peer best bf16": lambda chunk: [run_fair(half, one) for one in chunk],
            "lexome bf16": lambda chunk: [ours["bf16"].network(one) for one in chunk],
        }
        seconds: dict[str, list[float]] = {name: [] for name in contenders}
        found: dict[str, list[np.ndarray]] = {name: [] for name in contenders}
        for turn, chunk in enumerate(chunks):
            for name, run in contenders.items():
                began = time.process_time()
                hidden = run(chunk)
                if turn:  # the first one warms up
                    tokens = sum(one.numel() for one in chunk)
                    seconds[name].append((time.process_time() - began) / tokens)
                    found[name] += [one[0, 1:].float().mean(0).numpy() for one in hidden]
    lines = []
    base = np.stack(found["peer best fp32"])
    for name, each in seconds.items():
        mine = np.stack(found[name])
        cosine = (mine * base).sum(1) / np.linalg.norm(mine, axis=1) / np.linalg.norm(base, axis=1)
        best = f"peer best {name[-4:]}" if name != "peer default" else "peer best fp32"
        lines.append(
            f"| msa1b | fair-esm | {name} | {1 / np.median(each):,.0f} | "
            f"{np.median(np.array(seconds['peer default']) / each):.2f} | "
            f"{np.median(np.array(seconds[best]) / each):.2f} | {cosine.min():.6f} |"
        )
    return lines


def draw_alignments(number: int) -> list[torch.Tensor]:
    """Token ids of alignments of 16 to 64 rows and 100 to 200 columns."""
    generator = np.random.default_rng(SEED)
    drawn = []
    for _ in range(number):
        rows, columns = generator.integers(16, 65), generator.integers(100, 201)
        ids = generator.integers(4, 24, (rows, columns + 1))
        ids[:, 0] = 0
        drawn.append(torch.from_numpy(ids))
    return drawn


def run_fair(model: Any, tokens: torch.Tensor) -> torch.Tensor:
    """One alignment by itself."""
    out = model(tokens[None], repr_layers=[LAYERS])
    hidden: torch.Tensor = out["representations"][LAYERS][0]
    return hidden


def run_fair_padded(model: Any, chunk: list[torch.Tensor]) -> list[torch.Tensor]:
    """Filled up to the deepest and the widest, as fair-esm's batch converter does."""
    rows, columns = (max(one.shape[i] for one in chunk) for i in (0, 1))
    tokens = torch.ones(len(chunk), rows, columns, dtype=torch.long)
    for i, one in enumerate(chunk):
        tokens[i, : one.shape[0], : one.shape[1]] = one
    out = model(tokens, repr_layers=[LAYERS])["representations"][LAYERS]
    return [out[i, : one.shape[0], : one.shape[1]] for i, one in enumerate(chunk)]
