"""A figure with the rows that leak and without them, beside each other."""

# Letters: N rows, K labels or classes.
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lexome.errors import InputError
from lexome.evaluation.metrics import Task, measure


class CleanMetrics(NamedTuple):
    """Metrics of `metrics.measure` on all rows, and on those without a copy elsewhere."""

    inflated: dict[str, float]
    clean: dict[str, float]  # NaN where what is left has one class only, or no row is left
    rows: int
    leaked: int


def clean_metrics(
    task: Task,
    truth: ArrayLike,
    predictions: ArrayLike,
    leaks: ArrayLike,
    threshold: ArrayLike = 0.5,
) -> CleanMetrics:
    """Each metric on all rows, and on the rows that are no leak.

    Args:
        task, truth, predictions, threshold: as `measure` takes them.
        leaks: (N,) True for a row whose copy, exact or near, the model has been made with.

    >>> found = clean_metrics("binary", [1, 0, 1, 0], [0.9, 0.1, 0.2, 0.8], [1, 1, 0, 0])
    >>> found.inflated["accuracy"], found.clean["accuracy"], found.leaked
    (0.5, 0.0, 2)
    """
    truth_N, found_N = np.asarray(truth), np.asarray(predictions)
    leaked_N: NDArray[np.bool_] = np.asarray(leaks).astype(bool)
    if leaked_N.shape != (len(truth_N),):
        raise InputError(
            "clean metrics",
            f"leaks of shape {leaked_N.shape}",
            f"one for each of the {len(truth_N)} rows",
            "True for a row that leaks",
        )
    inflated = measure(task, truth_N, found_N, threshold).overall
    kept = ~leaked_N
    clean = dict.fromkeys(inflated, float("nan"))
    if kept.any():
        clean = measure(task, truth_N[kept], found_N[kept], threshold).overall
    return CleanMetrics(inflated, clean, len(truth_N), int(leaked_N.sum()))


def calls_threshold(probabilities: NDArray[Any], called: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The threshold, one a column, that gives the calls that were made; above 1 for none.

    Probabilities in a table are rounded, and the threshold that was used may lie between one and
    its rounded value: the lowest one that was called yes decides alike.
    """
    return np.asarray(np.where(called, probabilities, np.inf).min(axis=0), np.float64)
