"""What a run answers: whole sequences, or every residue of them; what differs between the two."""

from collections.abc import Sequence
from typing import NamedTuple

from numpy.typing import ArrayLike

from lexome.evaluation.metrics import Task
from lexome.evaluation.uncertainty import mean_over_seeds
from lexome.results.types import Estimates
from lexome.sequence.alphabet import Alphabet
from lexome.training.baselines.kinds import (
    COMPOSITION,
    KMERS,
    NEIGHBOURS,
    TASK_COMPOSITION,
    TASK_KMERS,
    PlainModel,
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
