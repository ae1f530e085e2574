"""The vectors of a frozen backbone: its model is built once, and vectors are kept for later use."""

# Letters: N sequences, G features.
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from lexome.architectures.families import build, settings_of
from lexome.checkpoints.load import Checkpoint
from lexome.inference.embed import Recipe, embed_records
from lexome.inference.embed_file import embed_file
from lexome.inference.model import Model
from lexome.sequence.records import RowRecord

Vector = NDArray[np.float32]


class FrozenModel:
    """A backbone ready to give vectors, and the vectors that will be asked for again.

    Both are made when first needed. Pickled it is empty: whoever reads it makes them anew.
    """

    def __init__(self) -> None:
        self.model: Model | None = None
        self.kept: dict[str, Vector] = {}  # by sequence

    def __reduce__(self) -> tuple[type["FrozenModel"], tuple[()]]:
        return FrozenModel, ()

    def ready(self, checkpoint: Checkpoint, device: str, dtype: str) -> Model:
        """The model of a checkpoint on a device."""
        if self.model is None or (self.model.device, self.model.dtype) != (device, dtype):
            # A network of its own: faster bricks take the places of those that are to be saved.
            network = build(checkpoint.card.family, settings_of(checkpoint.network))
            network.load_state_dict(checkpoint.network.state_dict(), assign=True)
            self.model = Model(network, checkpoint.tokenizer, checkpoint.card, device, dtype)
        return self.model

    def vectors(
        self,
        checkpoint: Checkpoint,
        device: str,
        dtype: str,
        long: str,
        ids: Sequence[str],
        sequences: Sequence[str],
    ) -> Vector:
        """Vectors (N, G) in memory; those that are kept are not made again."""
        lacking = {s: id for id, s in zip(ids, sequences, strict=True) if s not in self.kept}
        made = dict(self.kept)
        if lacking:
            records = [RowRecord(id, sequence) for sequence, id in lacking.items()]
            rows = embed_records(self.ready(checkpoint, device, dtype), records, Recipe(long=long))
            made |= {sequence: row.values for sequence, row in zip(lacking, rows, strict=True)}
        return np.stack([made[sequence] for sequence in sequences])

    def vectors_on_disk(
        self,
        checkpoint: Checkpoint,
        device: str,
        dtype: str,
        long: str,
        ids: Sequence[str],
        sequences: Sequence[str],
        path: Path,
        quiet: bool,
    ) -> Vector:
        """The same, made by way of a file that a killed run takes up again."""
        if not path.exists():
            records = [RowRecord(id, s) for id, s in zip(ids, sequences, strict=True)]
            facts: dict[str, object] = {"for": "frozen features"}
            model = self.ready(checkpoint, device, dtype)
            embed_file(model, records, path, Recipe(long=long), facts, quiet=quiet)
        vectors: Vector = pl.read_parquet(path)["vector"].to_numpy()
        return vectors

    def keep(self, sequences: Sequence[str], vectors_NG: Vector) -> None:
        """Remember vectors, so that they are at hand when the same sequences are judged."""
        self.kept = dict(zip(sequences, vectors_NG, strict=True))

    def forget(self) -> None:
        """Let go of the vectors."""
        self.kept = {}


def same_vectors(one: Checkpoint | None, other: Checkpoint | None) -> bool:
    """Whether two backbones are the same to the bit, so that their vectors are."""
    if one is None or other is None:
        return False
    weights, others = one.network.state_dict(), other.network.state_dict()
    return (
        one.tokenizer.vocabulary == other.tokenizer.vocabulary
        and settings_of(one.network) == settings_of(other.network)
        and weights.keys() == others.keys()
        and all(torch.equal(weights[name], others[name]) for name in weights)
    )
