"""The models that a run is judged by: every seed, the ensemble of several, the baseline."""

# Letters: R seeds, N sequences.
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lexome.training.fitted import Threshold

ENSEMBLE = "ensemble"


class Judged(NamedTuple):
    """One model's answers to the rows that it was not trained on."""

    name: str
    kind: str  # seed, ensemble, baseline
    answers: dict[str, NDArray[Any]]  # part -> answers
    threshold: Threshold


def chosen_name(seeds: Sequence[int]) -> str:
    """What the model that `lexome predict` uses is called: a seed that is alone is its own."""
    return ENSEMBLE if len(seeds) > 1 else f"seed {seeds[0]}"


def list_judged(
    seeds: Sequence[int],
    each_RN: NDArray[np.float32],
    plain_N: NDArray[Any],
    by_part: Callable[[NDArray[Any]], dict[str, NDArray[Any]]],
    threshold_of: Callable[[str, NDArray[Any]], Threshold],
    plain_name: str,
) -> list[Judged]:
    """The models to judge, the chosen one among them.

    Args:
        seeds: one for each row of `each_RN`.
        each_RN: answers of every seed's network, (R, N) or (R, N, K).
        plain_N: those of the baseline.
        by_part: shares out answers to the parts.
        threshold_of: the threshold of a model from its name and answers.
        plain_name: what the baseline is called.
    """
    named = [(f"seed {seed}", "seed", found) for seed, found in zip(seeds, each_RN, strict=True)]
    mean = each_RN.mean(0, dtype=np.float64)  # as `predict_mean` gives it
    if len(seeds) > 1:
        named.append((ENSEMBLE, "ensemble", mean))
    else:
        named = [(chosen_name(seeds), "seed", mean)]
    named.append((plain_name, "baseline", plain_N))
    return [
        Judged(name, kind, by_part(found), threshold_of(name, found)) for name, kind, found in named
    ]


def find_judged(judged: Sequence[Judged], name: str) -> Judged:
    """The model of a name."""
    return next(model for model in judged if model.name == name)
