"""Tokenising speed beside transformers' EsmTokenizer on the same sequences, in one run.

Proteins a letter a token, and nucleotides in six-mers as Nucleotide Transformer has them.
"""

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from transformers import EsmTokenizer

from lexome.tokenizers.character import CharacterTokenizer, esm_vocabulary
from lexome.tokenizers.kmers import all_kmers
from lexome.tokenizers.six_mers import SixMerTokenizer

SEED, REPEATS = 0, 5
NUCLEOTIDES = ["<unk>", "<pad>", "<mask>", "<cls>", *all_kmers(6), *"ATCGN", "<eos>", "<bos>"]


def main() -> None:
    """Print letters a second of both, and whether their ids agree."""
    print("| sequences | tokenizer | million letters/s of CPU time | ratio | ids agree |")
    print("|---|---|--:|--:|---|")
    for what, letters, median, number, ours, theirs in (
        (
            "proteins",
            b"ACDEFGHIKLMNPQRSTVWY",
            300,
            40_000,
            CharacterTokenizer(),
            peer(esm_vocabulary()),
        ),
        ("DNA, six-mers", b"ACGT", 6_000, 2_000, SixMerTokenizer(NUCLEOTIDES), peer(NUCLEOTIDES)),
        ("reads, six-mers", b"ACGT", 200, 60_000, SixMerTokenizer(NUCLEOTIDES), peer(NUCLEOTIDES)),
    ):
        sequences = draw(letters, median, number)
        compare(what, sequences, sequences[: number // 100], ours, theirs)


def compare(what: str, all_of: list[str], some: list[str], ours: Any, theirs: Any) -> None:
    """The lines of one kind of sequence; the peer gets a hundredth of them."""
    agree = ours.encode_many(some).ids_T.tolist() == [
        i for ids in theirs(some)["input_ids"] for i in ids
    ]
    fast = speed(lambda: ours.encode_many(all_of), all_of)
    slow = speed(lambda: theirs(some), some)
    print(f"| {what} | transformers EsmTokenizer | {slow / 1e6:.2f} | 1 | |")
    print(f"| {what} | lexome | {fast / 1e6:.0f} | {fast / slow:.0f} | {agree} |")


def draw(alphabet: bytes, median: int, number: int) -> list[str]:
    """Random sequences with log-normal lengths."""
    generator = np.random.default_rng(SEED)
    letters = np.frombuffer(alphabet, np.uint8)
    lengths = np.exp(generator.normal(np.log(median), 0.65, number)).clip(30, 20_000).astype(int)
    return [letters[generator.integers(0, len(letters), n)].tobytes().decode() for n in lengths]


def peer(vocabulary: Sequence[str]) -> EsmTokenizer:
    """The published tokenizer on a published vocabulary."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "vocab.txt")
        path.write_text("\n".join(vocabulary))
        if "L" in vocabulary:
            return EsmTokenizer(str(path))
        return EsmTokenizer(str(path), eos_token=None)


def speed(run: Callable[[], object], sequences: list[str]) -> float:
    """Letters a second of CPU time: the median of some runs."""
    seconds = []
    for _ in range(REPEATS):
        began = time.process_time()
        run()
        seconds.append(time.process_time() - began)
    return sum(map(len, sequences)) / float(np.median(seconds))


if __name__ == "__main__":
    main()
