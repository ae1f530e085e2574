"""What a run answers: whole sequences, or every residue of them; what differs between the two."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from numpy.typing import ArrayLike

from lexome.evaluation.metrics import Task
from lexome.evaluation.uncertainty import mean_over_seeds
from lexome.results.types import Estimates
from lexome.training import baseline as whole
from lexome.training import residue_baseline as single


class Unit(NamedTuple):
    """One kind of thing that gets an answer."""

    headline: dict[str, list[str]]  # task -> the metrics that matter most
    sums_groups: bool  # whether a group holds so many answers that intervals sum them up first
    baseline_name: Callable[[str], str]
    fit_baseline: Callable[..., Any]
    predict_baseline: Callable[..., Any]
    save_baseline: Callable[[Any, Path], None]
    load_baseline: Callable[[Path], Any]

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
        whole.baseline_name,
        whole.fit_baseline,
        whole.predict_baseline,
        whole.save_baseline,
        whole.load_baseline,
    ),
    "residue": Unit(
        {"binary": ["auroc", "auprc", "mcc"], "multiclass": ["macro_f1", "mcc", "accuracy"]},
        True,
        lambda task: single.NAME,
        single.fit_residue_baseline,
        single.predict_residue_baseline,
        single.save_residue_baseline,
        single.load_residue_baseline,
    ),
}
