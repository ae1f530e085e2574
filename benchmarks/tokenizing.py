"""Tokenising speed beside transformers' EsmTokenizer on the same proteins, in one run."""

import time
from collections.abc import Callable

import numpy as np
from transformers import EsmTokenizer

from lexome.tokenizers.character import CharacterTokenizer, esm_vocabulary

SEED, PROTEINS, PEER_PROTEINS, REPEATS = 0, 40_000, 400, 5


def main() -> None:
    """Print residues a second of both, and whether their ids agree."""
    proteins = draw_proteins(PROTEINS)
    ours, theirs = CharacterTokenizer(), peer()
    agree = ours.encode_many(proteins[:PEER_PROTEINS]).ids_T.tolist() == [
        i for ids in theirs(proteins[:PEER_PROTEINS])["input_ids"] for i in ids
    ]
    fast = speed(lambda: ours.encode_many(proteins), proteins)
    slow = speed(lambda: theirs(proteins[:PEER_PROTEINS]), proteins[:PEER_PROTEINS])
    print(f"{PROTEINS:,} proteins, median 300 residues, seed {SEED}; ids agree: {agree}\n")
    print("| tokenizer | million residues/s of CPU time | ratio |\n|---|--:|--:|")
    print(f"| transformers EsmTokenizer | {slow / 1e6:.2f} | 1 |")
    print(f"| lexome | {fast / 1e6:.0f} | {fast / slow:.0f} |")


def draw_proteins(num: int) -> list[str]:
    """Random proteins with log-normal lengths."""
    generator = np.random.default_rng(SEED)
    letters = np.frombuffer(b"ACDEFGHIKLMNPQRSTVWY", np.uint8)
    lengths = np.exp(generator.normal(np.log(300), 0.65, num)).clip(30, 5000).astype(int)
    return [letters[generator.integers(0, 20, n)].tobytes().decode() for n in lengths]


def peer() -> EsmTokenizer:
    """The published tokenizer on the published vocabulary."""
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "vocab.txt")
        path.write_text("\n".join(esm_vocabulary()))
        return EsmTokenizer(str(path))


def speed(run: Callable[[], object], proteins: list[str]) -> float:
    """Residues a second of CPU time: the median of some runs."""
    seconds = []
    for _ in range(REPEATS):
        began = time.process_time()
        run()
        seconds.append(time.process_time() - began)
    return sum(map(len, proteins)) / float(np.median(seconds))


if __name__ == "__main__":
    main()
