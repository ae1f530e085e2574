"""Masked-marginal scan of a protein beside fair-esm's script and a Hugging Face loop.

    python benchmarks/masked_scan.py [--residues 286] [--chunk 13]

ESM-2 of the 35M shape with random weights, the same in all contenders; one process, one thread.
The positions go by in chunks; every chunk is scanned by every contender in turn, so drift of the
machine's speed hits all alike; ratios of CPU times are medians over the chunks. fair-esm as its
published script does (one masked copy at a time, fp32); transformers one at a time, which on a CPU
is its best setting (batches of 8 and 24 were slower), in fp32 and with bf16 weights.
Prints the table and writes it to masked_scan.txt.
"""

import argparse
import re
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

LAYERS, WIDTH, HEADS, SEED = 12, 480, 20, 0
LETTERS = "ACDEFGHIKLMNPQRSTVWY"
TABLE = Path(__file__).with_suffix(".txt")
Scan = Callable[[Sequence[int]], np.ndarray]  # positions from 0 -> log p (P, 20)
GOALS = {"lexome fp32": (2.3, 1.8, "fp32"), "lexome bf16": (3.3, 1.08, "bf16")}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--residues", type=int, default=286)
    parser.add_argument("--chunk", type=int, default=13)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    generator = np.random.default_rng(SEED)
    protein = "".join(generator.choice(list(LETTERS), asked.residues))
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        contenders = make(Path(folder), protein)
        places = list(range(asked.residues))
        chunks = [places[i : i + asked.chunk] for i in range(0, len(places), asked.chunk)]
        for scan in contenders.values():
            scan(places[:2])
        seconds = {name: np.zeros(len(chunks)) for name in contenders}
        found: dict[str, list[np.ndarray]] = {name: [] for name in contenders}
        for i, chunk in enumerate(chunks):
            for name, scan in contenders.items():
                began = time.process_time()
                found[name].append(scan(chunk))
                seconds[name][i] = time.process_time() - began
        seen = seen_once(Path(folder), protein)
    lines = [
        f"Masked-marginal scan of {asked.residues} residues, {LAYERS} layers of width {WIDTH}, one "
        f"thread, {len(chunks)} chunks of {asked.chunk} positions\n",
        "| contender | CPU seconds | x fair-esm | x Hugging Face, same format | goal | "
        "largest difference of log p to fair-esm |",
        "|---|--:|--:|--:|---|--:|",
    ]
    base = np.concatenate(found["fair-esm fp32"])
    for name, times in seconds.items():
        peer = f"Hugging Face {name[-4:]}"
        goal = "{}, {}".format(*GOALS[name][:2]) if name in GOALS else ""
        lines.append(
            f"| {name} | {times.sum():.1f} | {np.median(seconds['fair-esm fp32'] / times):.2f} | "
            f"{np.median(seconds[peer] / times):.2f} | {goal} | "
            f"{np.abs(np.concatenate(found[name]) - base).max():.1e} |"
        )
    lines += ["", f"wt-marginal (one pass) of the same protein: {seen}"]
    print("\n".join(lines))
    TABLE.write_text("\n".join(lines) + "\n", encoding="utf-8")


def make(folder: Path, protein: str) -> dict[str, Scan]:
    """The contenders, all with the same weights."""
    from esm.model.esm2 import ESM2
    from transformers import EsmConfig, EsmForMaskedLM

    from lexome.tokenizers.character import esm_vocabulary

    torch.manual_seed(SEED)
    config = EsmConfig(
        vocab_size=33,
        mask_token_id=32,
        pad_token_id=1,
        hidden_size=WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        intermediate_size=4 * WIDTH,
        position_embedding_type="rotary",
        token_dropout=True,
        emb_layer_norm_before=False,
        layer_norm_eps=1e-5,  # fair-esm's
        max_position_embeddings=1026,
    )
    theirs = EsmForMaskedLM(config).eval()
    theirs.save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(esm_vocabulary()))
    fair = ESM2(LAYERS, WIDTH, HEADS).eval()
    fair.load_state_dict(in_fair_names(theirs.state_dict()), strict=False)
    codes = {token: i for i, token in enumerate(esm_vocabulary())}
    ids = [0, *(codes[letter] for letter in protein), 2]
    chosen = [codes[letter] for letter in LETTERS]
    half = EsmForMaskedLM.from_pretrained(folder).eval().bfloat16()
    return {
        "fair-esm fp32": loop(lambda tokens: fair(tokens)["logits"], ids, chosen),
        "Hugging Face fp32": loop(lambda tokens: theirs(tokens).logits, ids, chosen),
        "lexome fp32": ours(folder, protein, "fp32"),
        "Hugging Face bf16": loop(lambda tokens: half(tokens).logits.float(), ids, chosen),
        "lexome bf16": ours(folder, protein, "bf16"),
    }


def in_fair_names(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """transformers' names as fair-esm's."""
    rules = [
        (r"^esm\.embeddings\.word_embeddings", "embed_tokens"),
        (r"^esm\.encoder\.layer\.(\d+)\.attention\.self\.query", r"layers.\1.self_attn.q_proj"),
        (r"^esm\.encoder\.layer\.(\d+)\.attention\.self\.key", r"layers.\1.self_attn.k_proj"),
        (r"^esm\.encoder\.layer\.(\d+)\.attention\.self\.value", r"layers.\1.self_attn.v_proj"),
        (r"^esm\.encoder\.layer\.(\d+)\.attention\.output\.dense", r"layers.\1.self_attn.out_proj"),
        (r"^esm\.encoder\.layer\.(\d+)\.attention\.LayerNorm", r"layers.\1.self_attn_layer_norm"),
        (r"^esm\.encoder\.layer\.(\d+)\.intermediate\.dense", r"layers.\1.fc1"),
        (r"^esm\.encoder\.layer\.(\d+)\.output\.dense", r"layers.\1.fc2"),
        (r"^esm\.encoder\.layer\.(\d+)\.LayerNorm", r"layers.\1.final_layer_norm"),
        (r"^esm\.encoder\.emb_layer_norm_after", "emb_layer_norm_after"),
        (r"^lm_head\.decoder\.weight", "lm_head.weight"),
    ]
    renamed = {}
    for name, tensor in state.items():
        for pattern, replacement in rules:
            name = re.sub(pattern, replacement, name)
        renamed[name] = tensor
    return renamed


def loop(logits_of: Callable[[Any], Any], ids: list[int], chosen: list[int]) -> Scan:
    """One masked copy at a time, the whole table of log-probabilities made each time."""

    def scan(positions: Sequence[int]) -> np.ndarray:
        rows = []
        for position in positions:
            tokens = torch.tensor([ids])
            tokens[0, 1 + position] = 32
            log_p = torch.log_softmax(logits_of(tokens), dim=-1)
            rows.append(log_p[0, 1 + position, chosen])
        return torch.stack(rows).numpy()

    return scan


def ours(folder: Path, protein: str, dtype: str) -> Scan:
    """The product's own path."""
    from lexome.inference.model import load
    from lexome.scoring.mutants.residue_rows import rows_hidden

    read = rows_hidden(load(str(folder), dtype=dtype, device="cpu"), "refuse")
    return lambda positions: read(protein, positions)


def seen_once(folder: Path, protein: str) -> str:
    """The time of the one pass of wt-marginal, in words."""
    from lexome.inference.model import load
    from lexome.scoring.mutants.rules import make_mutant_scorer

    told = []
    for dtype in ("fp32", "bf16"):
        model, times = load(str(folder), dtype=dtype, device="cpu"), []
        for _ in range(5):
            scorer = make_mutant_scorer(model, "wt-marginal")
            assert scorer.table is not None
            began = time.process_time()
            scorer.table(protein)
            times.append(time.process_time() - began)
        told.append(f"{np.median(times):.2f} s in {dtype}")
    return ", ".join(told)


if __name__ == "__main__":
    main()
