"""The best of many is too good to be true: what the choice adds, and the figure without it.

Bias-corrected cross-validation by bootstrap (BBC-CV) of Tsamardinos, Greasidou and Borboudakis
2018, Machine Learning 107:1895: the choice is made anew within each resample of the out-of-fold
answers, and judged on the rows that this resample left out.
"""

# Letters: R resamples, N rows, C candidates.
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from lexome.errors import InputError
from lexome.evaluation.decisions import Floats, Ints
from lexome.evaluation.metrics import METRICS, Task
from lexome.evaluation.uncertainty import NUM_RESAMPLES, draw_weights, interval
from lexome.evaluation.weighted import weighted_metrics
from lexome.results.types import Estimate


class Choice(NamedTuple):
    """The best of some candidates, as it looks, and as it can be believed."""

    best: int
    each: list[Estimate]  # every candidate's own figure; its interval knows of no choice
    corrected: Estimate  # of choosing the best: mean over the resamples, and their 95 % interval
    chosen_C: Floats  # share of the resamples in which each candidate was the best


def choose_best(
    task: Task,
    truth: ArrayLike,
    predictions: Sequence[ArrayLike],
    metric: str,
    groups: ArrayLike | None = None,
    seed: int = 0,
    num_resamples: int = NUM_RESAMPLES,
) -> Choice:
    """The candidate with the highest metric, and the honest figure of having chosen it.

    Each resample draws whole groups with replacement; the best candidate on the rows drawn is
    judged on the rows of groups that were not drawn (about 37 %). A resample in which the metric
    is undefined on either side is left out.

    Args:
        predictions: of each candidate for the same rows, made without having seen them.
        groups: of the rows; without them each row is its own.

    Raises:
        InputError: no candidates, a metric that the task does not have or of which less is more.
    """
    known = [name for name, found in METRICS[task].items() if found.better == "higher"]
    if metric not in known:
        raise InputError("metric", repr(metric), f"one of {', '.join(known)}", f"`{known[0]}`")
    if not predictions:
        raise InputError("choice", "no candidates", "at least one", "more of them")
    functions = [weighted_metrics(task, truth, prediction) for prediction in predictions]
    num = len(np.asarray(truth))
    plain_C = np.array([function(np.ones((1, num)))[0][metric][0] for function in functions])
    inside, outside = [], []
    for weights_RN in draw_weights(num, groups, seed, num_resamples):
        left_RN = (weights_RN == 0).astype(np.float64)
        empty_R = ~left_RN.any(axis=1)
        left_RN[empty_R] = 1.0  # only so that nothing is divided by zero
        inside.append(np.stack([f(weights_RN)[0][metric] for f in functions], axis=1))
        found_RC = np.stack([f(left_RN)[0][metric] for f in functions], axis=1)
        found_RC[empty_R] = np.nan
        outside.append(found_RC)
    inside_RC, outside_RC = np.concatenate(inside), np.concatenate(outside)
    best_R = _argbest(inside_RC)
    judged_R = outside_RC[np.arange(len(best_R)), best_R]
    judged_R[np.isnan(inside_RC).all(axis=1)] = np.nan
    usable = judged_R[~np.isnan(judged_R)]
    mean = float(usable.mean()) if 2 * len(usable) >= len(judged_R) else float("nan")
    return Choice(
        best=int(_argbest(plain_C[None])[0]),
        each=[interval(float(plain_C[c]), inside_RC[:, c]) for c in range(len(functions))],
        corrected=interval(mean, judged_R),
        chosen_C=np.bincount(best_R, minlength=len(functions)) / len(best_R),
    )


def _argbest(values_RC: Floats) -> Ints:
    """The column of the highest value of each row; equal ones and NaN yield to the first."""
    best_R: Ints = np.where(np.isnan(values_RC), -np.inf, values_RC).argmax(axis=1)
    return best_R
