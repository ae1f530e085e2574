"""The table of baselines: what each sees, and how it is fitted, asked and kept."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lexome.checkpoints.weight_files import read_json
from lexome.training.baselines import composition, kmers, residues, tasks
from lexome.training.baselines.linear import read_plain, write_plain
from lexome.training.target import Target

Rows = NDArray[np.int64]


class PlainModel(NamedTuple):
    """A baseline: what a result must beat."""

    alone: str  # what it sees, in a few words
    name: Callable[[str], str]  # by task
    # training rows, validation rows, whether pairs are symmetric
    fit: Callable[[Sequence[Any], Target, Rows, Rows, bool], Any]
    predict: Callable[..., Any]
    load: Callable[[Path], Any]
    save: Callable[[Any, Path], None] = write_plain


COMPOSITION = PlainModel(
    "composition",
    composition.baseline_name,
    lambda sequences, target, train, _, symmetric: composition.fit_baseline(
        sequences, target, train, symmetric
    ),
    composition.predict_baseline,
    partial(read_plain, kind=composition.Baseline),
)
KMERS = PlainModel(
    "short words",
    kmers.kmer_baseline_name,
    kmers.fit_kmer_baseline,
    kmers.predict_kmer_baseline,
    partial(read_plain, kind=kmers.KmerBaseline),
)
NEIGHBOURS = PlainModel(
    "neighbouring letters",
    lambda task: residues.NAME,
    lambda sequences, target, train, *_: residues.fit_residue_baseline(sequences, target, train),
    residues.predict_residue_baseline,
    partial(read_plain, kind=residues.ResidueBaseline),
)
TASK_COMPOSITION = PlainModel(
    "composition",
    lambda task: tasks.COMPOSITION,
    tasks.fit_by_composition,
    tasks.predict_task_baseline,
    tasks.load_task_baseline,
    tasks.save_task_baseline,
)
TASK_KMERS = TASK_COMPOSITION._replace(
    alone="short words", name=lambda task: tasks.KMERS, fit=tasks.fit_by_kmers
)


def saved_plain(path: Path, unit: str) -> PlainModel:
    """The kind of baseline that a run has saved."""
    if unit == "residue":
        return NEIGHBOURS
    saved: dict[str, Any] = dict(read_json(path))
    if unit == "tasks":
        return TASK_KMERS if tasks.has_words(saved["tasks"][0]) else TASK_COMPOSITION
    return KMERS if tasks.has_words(saved) else COMPOSITION
