"""Answers of a saved run of several tasks, and labels in the order of its classes."""

# Letters: N rows, C numbers of all tasks.
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lexome.errors import InputError
from lexome.training.fitted import Fitted
from lexome.training.record import answers_of
from lexome.training.target import Target
from lexome.training.task_record import wide_columns
from lexome.training.tasks import cut_blocks, join_tasks


def task_answers(fitted: Fitted, found_NC: NDArray[Any]) -> dict[str, Any]:
    """Columns for each task: what `lexome predict` writes."""
    parts = fitted.objective.parts
    kinds = [(part.task, part.labels, part.is_far) for part in parts]
    blocks = cut_blocks([part.num_outputs for part in parts], found_NC)
    limits = fitted.threshold if isinstance(fitted.threshold, list) else [0.5] * len(parts)
    return wide_columns(fitted.labels, kinds, blocks, limits, answers_of)


def task_spelling(fitted: Fitted) -> str:
    """The tasks of a run as `--task` spells them, to read a further table alike."""
    parts = zip(fitted.labels, fitted.objective.parts, strict=True)
    return ",".join(f"{name}={part.task}" for name, part in parts)


def conform_tasks(target: Target, fitted: Fitted, where: str) -> Target:
    """The target of a further table with the run's tasks and classes, in the run's order.

    Raises:
        InputError: a class that a task of the run does not know.
    """
    subs = []
    for name, part in zip(fitted.labels, fitted.objective.parts, strict=True):
        sub = target.subs[target.labels.index(name)]
        strange = sorted(set(sub.labels) - set(part.labels))
        if strange:
            known = ", ".join(part.labels)
            raise InputError(
                f"{where}, task {name!r}",
                f"the label {strange[0]!r}",
                f"labels that the run knows: {known}",
                "another `--label`",
            )
        if sub.labels:
            order = np.array([part.labels.index(label) for label in sub.labels])
            sub = sub._replace(labels=part.labels, values=order[sub.values])
        subs.append(sub)
    return join_tasks(fitted.labels, subs)
