"""The composition baseline: what amino-acid frequencies alone can tell."""

# Letters: N rows, K outputs, G features.
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression, Ridge

from lexome.sequence.composition import WHOLE_AND_START
from lexome.sequence.pairs import Content
from lexome.training.baselines.linear import Floats, fit_linear, read_linear
from lexome.training.fitted import Threshold
from lexome.training.pair_inputs import describe_contents
from lexome.training.target import Target


class Baseline(NamedTuple):
    """A linear model of standardised compositions; plain numbers, so it is saved as JSON."""

    task: str
    mean_G: Floats
    scale_G: Floats
    weights_KG: Floats
    intercept_K: Floats
    threshold: Threshold = None
    symmetric: bool = False  # of pairs: whether their order plays no part


def baseline_name(task: str) -> str:
    """What the baseline is called in tables."""
    kind = "ridge" if task == "regression" else "logistic"
    return f"composition + {kind} regression"


def fit_baseline(
    sequences: Sequence[Content],
    target: Target,
    train: NDArray[np.int64],
    symmetric: bool = False,
) -> Baseline:
    """Fit the baseline to the rows `train`.

    Features: frequencies of the 20 amino acids in the whole sequence, in residues 1-30 and 31-60,
    and the log of the length, standardised. Logistic regression with C = 1 and no class weights
    (ridge with alpha = 1 for numbers; one logistic regression a label for several labels). Of pairs
    it sees the features of both (their sum where `symmetric`), their difference and product.
    """
    features_NG = _features([sequences[i] for i in train], symmetric)
    mean_G, scale_G = features_NG.mean(0), features_NG.std(0)
    scale_G[scale_G == 0] = 1.0
    scaled_NG = (features_NG - mean_G) / scale_G
    weights, intercept = fit_linear(
        scaled_NG,
        target.values[train],
        target,
        lambda: LogisticRegression(C=1.0, max_iter=2000),
        lambda: Ridge(alpha=1.0),
    )
    return Baseline(target.task, mean_G, scale_G, weights, intercept, symmetric=symmetric)


def predict_baseline(baseline: Baseline, sequences: Sequence[Content]) -> Floats:
    """Probabilities (N,) or (N, K), or values (N,)."""
    scaled_NG = (_features(sequences, baseline.symmetric) - baseline.mean_G) / baseline.scale_G
    outputs_NK: Floats = scaled_NG @ baseline.weights_KG.T + baseline.intercept_K
    return read_linear(baseline.task, outputs_NK)


def _features(sequences: Sequence[Content], symmetric: bool) -> Floats:
    return describe_contents(sequences, symmetric, WHOLE_AND_START).astype(np.float64)
