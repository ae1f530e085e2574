"""The composition baseline: what amino-acid frequencies alone can tell."""

# Letters: N rows, K outputs, G features.
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression, Ridge

from lexome.checkpoints.weight_files import read_json
from lexome.results.files import write_json
from lexome.sequence.composition import WHOLE_AND_START
from lexome.sequence.pairs import Content
from lexome.training.fitted import Threshold
from lexome.training.pair_inputs import describe_contents
from lexome.training.target import Target

Floats = NDArray[np.float64]
# A label that training never (or always) carries gets this logit: its probability is 0 (or 1).
CERTAIN = 30.0


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
    values = target.values[train]
    if target.task == "regression":
        ridge = Ridge(alpha=1.0).fit(scaled_NG, values)
        weights, intercept = ridge.coef_[None], np.array([ridge.intercept_])
    elif target.task == "multiclass":
        weights, intercept = _fit_classes(scaled_NG, values, len(target.labels))
    else:
        columns = values[:, None] if values.ndim == 1 else values
        fits = [_fit_label(scaled_NG, column) for column in columns.T]
        weights = np.stack([fit[0] for fit in fits])
        intercept = np.array([fit[1] for fit in fits])
    return Baseline(target.task, mean_G, scale_G, weights, intercept, symmetric=symmetric)


def predict_baseline(baseline: Baseline, sequences: Sequence[Content]) -> Floats:
    """Probabilities (N,) or (N, K), or values (N,)."""
    scaled_NG = (_features(sequences, baseline.symmetric) - baseline.mean_G) / baseline.scale_G
    outputs_NK: Floats = scaled_NG @ baseline.weights_KG.T + baseline.intercept_K
    if baseline.task == "regression":
        return outputs_NK[:, 0]
    if baseline.task == "multiclass":
        risen_NK = np.exp(outputs_NK - outputs_NK.max(1, keepdims=True))
        shares_NK: Floats = risen_NK / risen_NK.sum(1, keepdims=True)
        return shares_NK
    probability_NK: Floats = 1 / (1 + np.exp(-outputs_NK.clip(-500, 500)))
    return probability_NK[:, 0] if baseline.task == "binary" else probability_NK


def save_baseline(baseline: Baseline, path: Path) -> None:
    """Write the baseline as JSON."""
    facts = baseline._asdict()
    plain = {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in facts.items()}
    write_json(path, plain)


def load_baseline(path: Path) -> Baseline:
    """What `save_baseline` wrote."""
    saved = read_json(path)
    arrays = {k: np.array(v) if k.endswith(("_G", "_K", "_KG")) else v for k, v in saved.items()}
    return Baseline(**arrays)  # type: ignore[arg-type]


def _features(sequences: Sequence[Content], symmetric: bool) -> Floats:
    return describe_contents(sequences, symmetric, WHOLE_AND_START).astype(np.float64)


def _logistic() -> LogisticRegression:
    return LogisticRegression(C=1.0, max_iter=2000)


def _fit_label(scaled_NG: Floats, truth_N: NDArray[np.int64]) -> tuple[Floats, float]:
    if truth_N.min() == truth_N.max():
        return np.zeros(scaled_NG.shape[1]), CERTAIN if truth_N[0] else -CERTAIN
    model = _logistic().fit(scaled_NG, truth_N)
    return model.coef_[0], float(model.intercept_[0])


def _fit_classes(
    scaled_NG: Floats, truth_N: NDArray[np.int64], num_classes: int
) -> tuple[Floats, Floats]:
    weights_KG = np.zeros((num_classes, scaled_NG.shape[1]))
    intercept_K = np.full(num_classes, -CERTAIN)  # for classes that training lacks
    model = _logistic().fit(scaled_NG, truth_N)
    if len(model.classes_) == 2:  # scikit-learn gives one row for two classes
        weights_KG[model.classes_[1]] = model.coef_[0]
        intercept_K[model.classes_] = [0.0, float(model.intercept_[0])]
    else:
        weights_KG[model.classes_], intercept_K[model.classes_] = model.coef_, model.intercept_
    return weights_KG, intercept_K
