"""The cells of a probe: which there are, their vectors on disk, and what their heads answer."""

# Letters: N rows, D features.
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import sklearn
from numpy.typing import NDArray

from lexome import __version__
from lexome.errors import InputError
from lexome.inference.embed import check_layer
from lexome.inference.embed_layers import Cell, find_layers, read_cell, write_layers
from lexome.inference.model import Model
from lexome.inference.poolings import Pooling
from lexome.progress import Progress
from lexome.results.files import atomic_path
from lexome.sequence.composition import WHOLE_AND_START, compositions
from lexome.sequence.kmer_counts import count_kmers
from lexome.sequence.records import RowRecord
from lexome.training.probing.folds import Turn
from lexome.training.probing.heads import Head, Probed, probe_cell
from lexome.training.target import Target

Vectors = NDArray[np.float32]
COMPOSITION = "composition"
LONGEST_WORD = 4  # of bases


class Place(NamedTuple):
    """One cell of the atlas: whose vectors, of which layer, pooled how, under which head."""

    model: str
    layer: int | None  # None for the baseline
    pooling: str
    head: str


class Shelf(NamedTuple):
    """Vectors of one model (or none) and how to read those of a place."""

    name: str
    layers: list[int | None]
    poolings: list[str]
    facts: str  # what the vectors depend on
    read: Callable[[int | None, str], Vectors]


def parse_layers(model: Model, asked: Sequence[int] | None) -> list[int]:
    """The layers as numbers from 0, in order and each once; all where None is asked for.

    Raises:
        InputError: one that the model does not have.
    """
    if asked is None:
        return list(range(int(model.network.config.num_layers) + 1))
    if not asked:
        raise InputError("layers", "none", "at least one", "`--layers 0,3,-1`")
    return sorted({check_layer(model, layer) for layer in asked})


def model_shelf(
    model: Model,
    name: str,
    ids: Sequence[str],
    sequences: Sequence[str],
    layers: Sequence[int],
    poolings: Sequence[Pooling],
    long: str,
    folder: Path,
    provenance: dict[str, object],
    progress: Progress,
) -> Shelf:
    """Vectors of some layers, made where the folder does not hold them yet, in one pass for all."""
    plain = dict.fromkeys(part for pooling in poolings for part in pooling.parts)
    wanted = [Cell(layer, part) for layer in layers for part in plain]
    found = find_layers(folder, provenance)
    lacking = [cell for cell in wanted if cell not in found]
    if lacking:
        records = [RowRecord(*pair) for pair in zip(ids, sequences, strict=True)]
        path = folder / f"layers-{_digest([provenance, [c.column for c in lacking]])}.parquet"
        write_layers(model, records, lacking, path, long, provenance, progress)
        found |= dict.fromkeys(lacking, path)
    parts_of = {pooling.name: pooling.parts for pooling in poolings}

    def read(layer: int | None, pooling: str) -> Vectors:
        assert layer is not None
        cells = [Cell(layer, part) for part in parts_of[pooling]]
        return np.concatenate([read_cell(found[cell], cell) for cell in cells], axis=1)

    return Shelf(name, list(layers), list(parts_of), json.dumps(provenance), read)


def kmer_shares(sequences: Sequence[str]) -> Vectors:
    """Shares of each word of 1 to 4 bases among the words of its length, and the log of the length.

    >>> kmer_shares(["AACG"])[0, :4].tolist()
    [0.5, 0.25, 0.25, 0.0]
    """
    lengths = np.array([max(len(sequence), 1) for sequence in sequences], np.float64)
    parts = [np.log(lengths)[:, None]]
    for k in range(LONGEST_WORD, 0, -1):
        counts = count_kmers(sequences, k).toarray()
        parts.insert(0, counts / np.maximum(counts.sum(axis=1, keepdims=True), 1))
    return np.concatenate(parts, axis=1).astype(np.float32)


def plain_shelf(sequences: Sequence[str], is_dna: bool) -> Shelf:
    """What letters alone tell: frequencies of amino acids, whole and at the start, or of k-mers."""
    name = "k-mers" if is_dna else COMPOSITION

    def read(layer: int | None, pooling: str) -> Vectors:
        return kmer_shares(sequences) if is_dna else compositions(sequences, WHOLE_AND_START)

    return Shelf(COMPOSITION, [None], [name], _digest(list(sequences)), read)


def probe_shelf(
    shelf: Shelf,
    heads: Mapping[str, Head],
    target: Target,
    turns: Sequence[Turn],
    metric: str,
    seed: int,
    folder: Path,
    progress: Progress,
) -> dict[Place, Probed]:
    """Every place of a shelf; what the folder holds of an earlier call is not computed again."""
    found: dict[Place, Probed] = {}
    rows = [hashlib.blake2b(np.concatenate(turn).tobytes()).hexdigest() for turn in turns]
    labels = hashlib.blake2b(np.ascontiguousarray(target.values).tobytes()).hexdigest()
    asked = [shelf.facts, rows, labels, target.task, metric, seed, __version__, sklearn.__version__]
    for layer in shelf.layers:
        for pooling in shelf.poolings:
            features_ND: Vectors | None = None
            for name, head in heads.items():
                mark = _digest([*asked, shelf.name, layer, pooling, name, head.settings])
                path = folder / f"{name}-{mark}.npz"
                probed = _read(path)
                if probed is None:
                    if features_ND is None:
                        features_ND = shelf.read(layer, pooling)
                    probed = probe_cell(head, features_ND, target, turns, metric, seed)
                    with atomic_path(path) as temporary, temporary.open("wb") as file:
                        np.savez(
                            file,
                            answers=probed.answers,
                            settings=np.array(probed.settings),
                            figures=np.array(probed.figures),
                        )
                found[Place(shelf.name, layer, pooling, name)] = probed
                progress.advance(1)
    return found


def _read(path: Path) -> Probed | None:
    if not path.exists():
        return None
    with np.load(path) as saved:
        return Probed(saved["answers"], saved["settings"].tolist(), saved["figures"].tolist())


def _digest(value: object) -> str:
    return hashlib.blake2b(json.dumps(value).encode(), digest_size=8).hexdigest()
