"""Embedding speed beside transformers' EsmModel: same proteins, same weights, same run, per core.

    python benchmarks/embedding.py [--shapes 8M 35M 150M] [--proteins 256]

Each contender lives in a process of its own with one thread. The proteins go by in chunks; every
chunk is embedded by every contender in turn, so drift of the machine's speed hits all alike, and
the ratio of process CPU times is taken chunk by chunk. Random weights; residues are those of the
input, padding not counted. Peer default: batches of 8 in file order, fp32. Peer best: one at a
time, bf16 weights (the best of the settings tried: sorted batches and torch.compile were slower).
"""

import argparse
import multiprocessing
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

SHAPES = {"8M": (6, 320, 20), "35M": (12, 480, 20), "150M": (30, 640, 20)}
CONTENDERS = ["peer default", "peer best", "lexome fp32", "lexome bf16"]
GOALS = {  # over peer default in fp32 and in bf16; over peer best
    "8M": (4.0, 5.5, 1.2),
    "35M": (3.0, 4.2, 1.1),
    "150M": (2.3, 3.4, 1.1),
}
SEED, CHUNK = 0, 32


def main() -> None:
    """Print the table of ratios for each shape."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shapes", nargs="+", default=list(SHAPES), choices=list(SHAPES))
    parser.add_argument("--proteins", type=int, default=256)
    asked = parser.parse_args()
    proteins = draw_proteins(asked.proteins)
    residues = sum(len(p) - 2 for p in proteins)
    padded = sum(max(map(len, c)) * len(c) for c in cut(proteins, 8))
    factor = padded / sum(map(len, proteins))
    print(
        f"{len(proteins)} proteins, {residues:,} residues (log-normal, median 300, sigma 0.65, "
        f"cut to 30-1022, seed {SEED}); batches of 8 in file order hold {factor:.2f} x their tokens"
    )
    print(
        "\n| shape | contender | residues/s per core | x default | without padding | x best | "
        "goal | cosine to fp32 (least) |"
    )
    print("|---|---|--:|--:|--:|--:|---|--:|")
    for shape in asked.shapes:
        for line in compare(shape, proteins, factor):
            print(line, flush=True)


def draw_proteins(num: int) -> list[np.ndarray]:
    """Token ids of random proteins of mixed length."""
    generator = np.random.default_rng(SEED)
    lengths = np.exp(generator.normal(np.log(300), 0.65, num)).clip(30, 1022).astype(int)
    return [np.r_[0, generator.integers(4, 24, n), 2] for n in lengths]


def cut(items: list[Any], size: int) -> list[list[Any]]:
    """Consecutive runs of `size`."""
    return [items[i : i + size] for i in range(0, len(items), size)]


def compare(shape: str, proteins: list[np.ndarray], padding: float) -> list[str]:
    """The table's lines for one shape."""
    context = multiprocessing.get_context("spawn")
    pipes, workers = {}, []
    for name in CONTENDERS:
        mine, theirs = context.Pipe()
        worker = context.Process(target=serve, args=(name, shape, theirs), daemon=True)
        worker.start()
        pipes[name] = mine
        workers.append(worker)
        assert mine.recv() == "ready"
    chunks = cut(proteins, CHUNK)
    seconds = {name: np.zeros(len(chunks)) for name in CONTENDERS}
    vectors: dict[str, list[np.ndarray]] = {name: [] for name in CONTENDERS}
    for i, chunk in enumerate(chunks):
        for name in CONTENDERS:
            pipes[name].send(chunk)
            seconds[name][i], found = pipes[name].recv()
            vectors[name].append(found)
    for name, worker in zip(CONTENDERS, workers, strict=True):
        pipes[name].send(None)
        worker.join()
    return lines(shape, chunks, seconds, vectors, padding)


def lines(
    shape: str,
    chunks: list[list[np.ndarray]],
    seconds: dict[str, np.ndarray],
    vectors: dict[str, list[np.ndarray]],
    padding: float,
) -> list[str]:
    """Medians over the chunks, and ratios pair by pair."""
    residues = np.array([sum(len(p) - 2 for p in chunk) for chunk in chunks])
    reference = np.concatenate(vectors["peer default"])
    fp32, bf16, best = GOALS[shape]
    goals = {
        "lexome fp32": f">= {fp32} x default",
        "lexome bf16": f">= {bf16} x default, >= {best} x best",
    }
    found = []
    for name in CONTENDERS:
        speed = np.median(residues / seconds[name])
        over_default = np.median(seconds["peer default"] / seconds[name])
        over_best = np.median(seconds["peer best"] / seconds[name])
        mine = np.concatenate(vectors[name])
        cosine = (mine * reference).sum(1)
        cosine /= np.linalg.norm(mine, axis=1) * np.linalg.norm(reference, axis=1)
        found.append(
            f"| {shape} | {name} | {speed:,.0f} | {over_default:.2f} | "
            f"{over_default / padding:.2f} | {over_best:.2f} | {goals.get(name, '')} | "
            f"{cosine.min():.6f} |"
        )
    return found


def serve(name: str, shape: str, pipe: Connection) -> None:
    """A contender's process: embed chunks as they come, tell the CPU seconds and the vectors."""
    import torch

    torch.set_num_threads(1)
    embed = {
        "peer default": peer_default,
        "peer best": peer_best,
        "lexome fp32": lambda weights: lexome_embedder(weights, "fp32"),
        "lexome bf16": lambda weights: lexome_embedder(weights, "bf16"),
    }[name](reference_model(shape))
    with torch.inference_mode():
        embed(draw_proteins(8))  # warm up
        pipe.send("ready")
        while (chunk := pipe.recv()) is not None:
            began = time.process_time()
            found = embed(chunk)
            pipe.send((time.process_time() - began, found))


def reference_model(shape: str) -> Any:
    """transformers' EsmModel with seeded random weights."""
    import torch
    from transformers import EsmConfig, EsmModel

    layers, width, heads = SHAPES[shape]
    torch.manual_seed(SEED)
    config = EsmConfig(
        vocab_size=33,
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=4 * width,
        position_embedding_type="rotary",
        token_dropout=True,
        pad_token_id=1,
        mask_token_id=32,
        max_position_embeddings=1026,
        layer_norm_eps=1e-5,
        emb_layer_norm_before=False,
    )
    return EsmModel(config, add_pooling_layer=False).eval()


def peer_default(model: Any) -> Callable[[list[np.ndarray]], np.ndarray]:
    """Batches of 8 in file order, padded, fp32: what most people run."""
    import torch

    def embed(chunk: list[np.ndarray]) -> np.ndarray:
        rows = []
        for batch in cut(chunk, 8):
            ids = torch.ones(len(batch), max(map(len, batch)), dtype=torch.long)
            real = torch.zeros_like(ids)
            for i, protein in enumerate(batch):
                ids[i, : len(protein)] = torch.from_numpy(protein)
                real[i, : len(protein)] = 1
            hidden = model(ids, attention_mask=real).last_hidden_state
            rows += [hidden[i, 1 : len(p) - 1].mean(0) for i, p in enumerate(batch)]
        return torch.stack(rows).numpy()

    return embed


def peer_best(model: Any) -> Callable[[list[np.ndarray]], np.ndarray]:
    """One at a time, without padding or mask, bf16 weights."""
    import torch

    model = model.bfloat16()

    def embed(chunk: list[np.ndarray]) -> np.ndarray:
        rows = [model(torch.from_numpy(p)[None]).last_hidden_state[0, 1:-1] for p in chunk]
        return torch.stack([row.float().mean(0) for row in rows]).numpy()

    return embed


def lexome_embedder(reference: Any, dtype: str) -> Callable[[list[np.ndarray]], np.ndarray]:
    """The product's own path, from token ids to pooled vectors, with the reference's weights."""
    import tempfile
    from pathlib import Path

    from lexome.inference.embed import Recipe, pooled_vectors
    from lexome.inference.model import load
    from lexome.inference.runner import Piece, run_batches
    from lexome.tokenizers.character import esm_vocabulary

    with tempfile.TemporaryDirectory() as folder:
        reference.save_pretrained(folder)
        Path(folder, "vocab.txt").write_text("\n".join(esm_vocabulary()))
        model = load(folder, dtype=dtype, device="cpu")
    compute = pooled_vectors(model, Recipe())

    def embed(chunk: list[np.ndarray]) -> np.ndarray:
        pieces = (Piece("protein", p) for p in chunk)
        return np.stack(list(run_batches(pieces, compute, "cpu")))

    return embed


if __name__ == "__main__":
    main()
