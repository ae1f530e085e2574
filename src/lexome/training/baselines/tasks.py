"""The plain baseline of several tasks: one linear model each, on the rows with a label."""

# Letters: N rows, C numbers of all tasks.
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lexome.checkpoints.weight_files import read_json
from lexome.results.files import write_json
from lexome.sequence.pairs import Content
from lexome.training.baselines.composition import Baseline, fit_baseline, predict_baseline
from lexome.training.baselines.kmers import (
    KmerBaseline,
    fit_kmer_baseline,
    predict_kmer_baseline,
)
from lexome.training.fitted import Threshold
from lexome.training.target import Target

Rows = NDArray[np.int64]
One = Baseline | KmerBaseline
COMPOSITION, KMERS = "composition + linear regressions", "k-mers + linear regressions"


class TaskBaseline(NamedTuple):
    """A baseline for each task, in their order."""

    tasks: list[One]
    threshold: Threshold = None


def fit_by_composition(
    sequences: Sequence[Content], target: Target, train: Rows, _: Rows, symmetric: bool
) -> TaskBaseline:
    """Fit each task's composition baseline to those of the rows `train` that have its label."""
    return _fit(target, lambda sub: fit_baseline(sequences, sub, _known(sub, train), symmetric))


def fit_by_kmers(
    sequences: Sequence[Content], target: Target, train: Rows, validation: Rows, symmetric: bool
) -> TaskBaseline:
    """Fit each task's baseline of short words, tuned on the validation rows with its label."""
    return _fit(
        target,
        lambda sub: fit_kmer_baseline(
            sequences, sub, _known(sub, train), _known(sub, validation), symmetric
        ),
    )


def predict_task_baseline(
    baseline: TaskBaseline, sequences: Sequence[Content]
) -> NDArray[np.float64]:
    """Answers (N, C): the tasks' blocks side by side."""
    found = [
        predict_kmer_baseline(one, sequences)
        if isinstance(one, KmerBaseline)
        else predict_baseline(one, sequences)
        for one in baseline.tasks
    ]
    return np.concatenate([block.reshape(len(sequences), -1) for block in found], axis=1)


def save_task_baseline(baseline: TaskBaseline, path: Path) -> None:
    """Write the baseline as JSON."""
    tasks = [
        {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in one._asdict().items()}
        for one in baseline.tasks
    ]
    write_json(path, {"tasks": tasks, "threshold": baseline.threshold})


def load_task_baseline(path: Path) -> TaskBaseline:
    """What `save_task_baseline` wrote."""
    saved: dict[str, Any] = dict(read_json(path))
    tasks = []
    for one in saved["tasks"]:
        arrays = {k: np.array(v) for k, v in one.items() if k.endswith(("_G", "_K", "_KG"))}
        kind: type[One] = KmerBaseline if has_words(one) else Baseline
        tasks.append(kind(**(one | arrays)))
    return TaskBaseline(tasks, saved["threshold"])


def has_words(saved: dict[str, Any]) -> bool:
    """Whether a saved baseline of one task counts short words."""
    return "k" in saved


def _fit(target: Target, fit: Callable[[Target], One]) -> TaskBaseline:
    return TaskBaseline([fit(sub) for sub in target.subs])


def _known(sub: Target, rows: Rows) -> Rows:
    assert sub.known is not None
    return rows[sub.known[rows]]
