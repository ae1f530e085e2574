"""The composition baseline: what amino-acid frequencies alone can tell."""

# Letters: N rows, K labels, G features.
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from lexome.sequence.composition import WHOLE_AND_START, compositions
from lexome.training.target import Target

BASELINE_NAME = "composition + logistic regression"
BASELINE_NAME_REGRESSION = "composition + ridge regression"


def baseline_name(task: str) -> str:
    """What the baseline is called in tables."""
    return BASELINE_NAME_REGRESSION if task == "regression" else BASELINE_NAME


def fit_baseline(
    sequences: Sequence[str], target: Target, train: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Probabilities (N,) or (N, K), or values (N,), for all rows, from a fit to `train`.

    Features: frequencies of the 20 amino acids in the whole sequence, in residues 1-30 and 31-60,
    and the log of the length, standardised. Logistic regression with C = 1 and no class weights
    (ridge with alpha = 1 for numbers; one logistic regression a label for several labels).
    """
    features_NG = compositions(sequences, WHOLE_AND_START)
    model = make_pipeline(StandardScaler(), _estimator(target.task))
    model.fit(features_NG[train], target.values[train])
    if target.task == "regression":
        return np.asarray(model.predict(features_NG), np.float64)
    found: NDArray[Any] = np.asarray(model.predict_proba(features_NG), np.float64)
    if target.task == "binary":
        return found[:, 1]
    if target.task == "multiclass":  # classes that training lacks get probability 0
        whole = np.zeros((len(sequences), len(target.labels)))
        whole[:, model.classes_] = found
        return whole
    return found


def _estimator(task: str) -> Any:
    if task == "regression":
        return Ridge(alpha=1.0)
    logistic = LogisticRegression(C=1.0, max_iter=2000)
    return OneVsRestClassifier(logistic) if task == "multilabel" else logistic
