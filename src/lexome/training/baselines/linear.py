"""What every baseline is: a linear model of features, by scikit-learn, kept as plain numbers."""

# Letters: N rows, G features, K outputs.
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression, Ridge

from lexome.checkpoints.weight_files import read_json
from lexome.results.files import write_json
from lexome.training.target import Target

Floats = NDArray[np.float64]
# A label that training never (or always) carries gets this logit: its probability is 0 (or 1).
CERTAIN = 30.0


class Linear(NamedTuple):
    """Weights and intercepts."""

    weights_KG: Floats
    intercept_K: Floats


def fit_linear(
    features_NG: Any,
    values: NDArray[Any],
    target: Target,
    logistic: Callable[[], LogisticRegression],
    ridge: Callable[[], Ridge],
) -> Linear:
    """Ridge for numbers, one multinomial regression for classes, one logistic a label.

    Args:
        features_NG: dense or sparse.
        values: labels of the same rows, as `Target.values` has them.
        target: task and labels.
        logistic, ridge: make the models to fit.
    """
    if target.task == "regression":
        model = ridge().fit(features_NG, values)
        return Linear(model.coef_[None], np.array([model.intercept_]))
    if target.task == "multiclass":
        return _fit_classes(features_NG, values, len(target.labels), logistic())
    columns = values[:, None] if values.ndim == 1 else values
    fits = [_fit_label(features_NG, column, logistic()) for column in columns.T]
    return Linear(np.stack([fit[0] for fit in fits]), np.array([fit[1] for fit in fits]))


def read_linear(task: str, outputs_NK: Floats) -> Floats:
    """Outputs as answers: values (N,), probabilities (N,), or (N, K)."""
    if task == "regression":
        return outputs_NK[:, 0]
    if task == "multiclass":
        risen_NK = np.exp(outputs_NK - outputs_NK.max(1, keepdims=True))
        shares_NK: Floats = risen_NK / risen_NK.sum(1, keepdims=True)
        return shares_NK
    probability_NK: Floats = 1 / (1 + np.exp(-outputs_NK.clip(-500, 500)))
    return probability_NK[:, 0] if task == "binary" else probability_NK


def write_plain(model: Any, path: Path, **more: Any) -> None:
    """A baseline (a NamedTuple of numbers, arrays and texts) as JSON, with what else is told."""
    facts = model._asdict() | more
    write_json(path, {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in facts.items()})


def read_plain(path: Path, kind: Any) -> Any:
    """What `write_plain` wrote; fields whose names end in the letters of a shape are arrays."""
    saved = read_json(path)
    endings = ("_G", "_K", "_KG", "_WAK")
    return kind(
        **{
            name: np.array(value) if name.endswith(endings) else value
            for name, value in saved.items()
            if name in kind._fields
        }
    )


def _fit_label(
    features_NG: Any, truth_N: NDArray[np.int64], model: LogisticRegression
) -> tuple[Floats, float]:
    if truth_N.min() == truth_N.max():
        return np.zeros(features_NG.shape[1]), CERTAIN if truth_N[0] else -CERTAIN
    model.fit(features_NG, truth_N)
    return model.coef_[0], float(model.intercept_[0])


def _fit_classes(
    features_NG: Any, truth_N: NDArray[np.int64], num_classes: int, model: LogisticRegression
) -> Linear:
    weights_KG = np.zeros((num_classes, features_NG.shape[1]))
    intercept_K = np.full(num_classes, -CERTAIN)  # for classes that training lacks
    model.fit(features_NG, truth_N)
    if len(model.classes_) == 2:  # scikit-learn gives one row for two classes
        weights_KG[model.classes_[1]] = model.coef_[0]
        intercept_K[model.classes_] = [0.0, float(model.intercept_[0])]
    else:
        weights_KG[model.classes_], intercept_K[model.classes_] = model.coef_, model.intercept_
    return Linear(weights_KG, intercept_K)
