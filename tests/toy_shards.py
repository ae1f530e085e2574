"""Shards of a few sequences, made in an instant."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lexome.batches.shard_writer import ShardWriter, Spool, first_ones
from lexome.batches.shards import (
    FORMAT,
    MANIFEST,
    Corpus,
    Part,
    Shard,
    open_corpus,
    write_manifest_parts,
)
from lexome.results.files import write_json
from lexome.tokenizers.character import CharacterTokenizer

AMINO_ACIDS = np.frombuffer(b"ACDEFGHIKLMNPQRSTVWY", np.uint8)


def proteins(num: int, seed: int = 0, low: int = 30, high: int = 60) -> list[str]:
    """Random proteins, thousands in a moment."""
    generator = np.random.default_rng(seed)
    lengths = generator.integers(low, high, num).tolist()
    return [AMINO_ACIDS[generator.integers(0, 20, n)].tobytes().decode() for n in lengths]


def mutate(sequence: str, share: float, seed: int = 0) -> str:
    """A copy with a share of its residues drawn anew."""
    generator = np.random.default_rng([1, seed])  # not the draws of `proteins`
    letters = np.frombuffer(sequence.encode(), np.uint8).copy()
    places = generator.random(len(letters)) < share
    letters[places] = AMINO_ACIDS[generator.integers(0, 20, int(places.sum()))]
    return letters.tobytes().decode()


def encode(sequence: str) -> bytes:
    """Ids without special tokens."""
    return bytes(CharacterTokenizer().encode(sequence)[1:-1])


def decode(ids: np.ndarray | bytes) -> str:
    """The letters of ids."""
    return CharacterTokenizer().decode(list(bytes(ids)))


def read_part(part: Part) -> list[str]:
    """All sequences of a part, in its order."""
    return [decode(part.residues_of(i)) for i in range(part.sequences)]


def write_corpus(folder: Path, train: Sequence[str], shards: int = 1) -> Corpus:
    """A corpus of `train` with nothing held out; copies are left out."""
    folder.mkdir(parents=True, exist_ok=True)
    spool = Spool(folder / "spool", shards)
    spool.clear()
    for sequence in train:
        spool.add(encode(sequence), 0)
    spool.flush()
    made = [_write_bucket(folder / f"train-{b:05d}", spool, b) for b in range(shards)]
    heldout = ShardWriter(folder / "heldout-00000").close()
    parts = write_manifest_parts({"train": made, "heldout": [heldout]})
    write_json(folder / MANIFEST, {"format": FORMAT, "parts": parts, "heldout_groups": []})
    return open_corpus(folder)


def _write_bucket(path: Path, spool: Spool, bucket: int) -> Shard:
    found = first_ones(spool, bucket)
    writer = ShardWriter(path)
    writer.add(spool, bucket, found, np.ones(len(found.rows), bool))
    return writer.close()
