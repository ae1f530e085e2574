"""What a run answers: whole sequences, or every residue of them; what differs between the two."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lexome.checkpoints.weight_files import read_json
from lexome.evaluation.metrics import Task
from lexome.evaluation.uncertainty import mean_over_seeds
from lexome.results.types import Estimates
from lexome.sequence.alphabet import Alphabet
from lexome.training import baseline as whole
from lexome.training import kmer_baseline as kmers
from lexome.training import residue_baseline as single
from lexome.training import task_baseline as several
from lexome.training.target import Target

Rows = NDArray[np.int64]


class PlainModel(NamedTuple):
    """A baseline: what a result must beat."""

    alone: str  # what it sees, in a few words
    name: Callable[[str], str]  # by task
    # training rows, validation rows, whether pairs are symmetric
    fit: Callable[[Sequence[Any], Target, Rows, Rows, bool], Any]
    predict: Callable[..., Any]
    save: Callable[[Any, Path], None]
    load: Callable[[Path], Any]


COMPOSITION = PlainModel(
    "composition",
    whole.baseline_name,
    lambda sequences, target, train, _, symmetric: whole.fit_baseline(
        sequences, target, train, symmetric
    ),
    whole.predict_baseline,
    whole.save_baseline,
    whole.load_baseline,
)
KMERS = PlainModel(
    "short words",
    kmers.kmer_baseline_name,
    kmers.fit_kmer_baseline,
    kmers.predict_kmer_baseline,
    kmers.save_kmer_baseline,
    kmers.load_kmer_baseline,
)
NEIGHBOURS = PlainModel(
    "neighbouring letters",
    lambda task: single.NAME,
    lambda sequences, target, train, *_: single.fit_residue_baseline(sequences, target, train),
    single.predict_residue_baseline,
    single.save_residue_baseline,
    single.load_residue_baseline,
)


_TASK_FILES = (
    several.predict_task_baseline,
    several.save_task_baseline,
    several.load_task_baseline,
)
TASK_COMPOSITION = PlainModel(
    "composition", lambda task: several.COMPOSITION, several.fit_by_composition, *_TASK_FILES
)
TASK_KMERS = PlainModel(
    "short words", lambda task: several.KMERS, several.fit_by_kmers, *_TASK_FILES
)


class Unit(NamedTuple):
    """One kind of thing that gets an answer."""

    headline: dict[str, list[str]]  # task -> the metrics that matter most
    sums_groups: bool  # whether a group holds so many answers that intervals sum them up first
    of_proteins: PlainModel
    of_bases: PlainModel

    def plain(self, alphabet: Alphabet) -> PlainModel:
        """The baseline for sequences of an alphabet."""
        return self.of_bases if alphabet.is_nucleic else self.of_proteins

    def intervals(
        self,
        task: Task,
        truth: ArrayLike,
        found: Sequence[ArrayLike],
        thresholds: Sequence[ArrayLike],
        groups: ArrayLike,
    ) -> Estimates:
        """Metrics, and their mean over several sets of answers, with intervals over groups."""
        sums = self.sums_groups
        return mean_over_seeds(task, truth, found, thresholds, groups, by_group=sums)


UNITS = {
    "sequence": Unit(
        {
            "binary": ["auroc", "auprc", "mcc"],
            "multiclass": ["accuracy", "macro_auroc", "mcc"],
            "multilabel": ["macro_auroc", "macro_auprc", "macro_mcc"],
            "regression": ["spearman", "pearson", "r2"],
        },
        False,
        COMPOSITION,
        KMERS,
    ),
    "tasks": Unit(
        {},  # `task_record.headline_of`: one a task
        False,
        TASK_COMPOSITION,
        TASK_KMERS,
    ),
    "residue": Unit(
        {"binary": ["auroc", "auprc", "mcc"], "multiclass": ["macro_f1", "mcc", "accuracy"]},
        True,
        NEIGHBOURS,
        NEIGHBOURS,
    ),
}


def saved_plain(path: Path, unit: str) -> PlainModel:
    """The kind of baseline that a run has saved."""
    if unit == "residue":
        return NEIGHBOURS
    if unit == "tasks":
        first: dict[str, Any] = read_json(path)["tasks"][0]  # type: ignore[index]
        return TASK_KMERS if several.has_words(first) else TASK_COMPOSITION
    return KMERS if read_json(path).get("kind") == kmers.KIND else COMPOSITION
