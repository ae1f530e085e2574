"""How good predictions are, in numbers: one function a kind of task, NaN for what is undefined.

Undefined is: a rank or correlation metric of a part with one class or a constant input, the
precision of a model that never says yes. NaN is then handed over, without a warning, and never
a number by convention; the one exception is MCC, which is 0 for a model that gives one answer
to everything (its limit: Chicco and Jurman 2020, BMC Genomics 21:6), so that a collapsed seed
counts in a mean instead of falling out of it.
"""

# Letters: N rows, K labels or classes.
import warnings
from collections.abc import Callable
from typing import Literal, NamedTuple, get_args

import numpy as np
import scipy.stats
from numpy.typing import ArrayLike
from sklearn import metrics as sk

from lexome.errors import InputError
from lexome.evaluation.calibration import expected_calibration_error
from lexome.evaluation.decisions import (
    Bools,
    Floats,
    Ints,
    check_classes,
    check_probabilities,
    check_truth,
    check_values,
    decide,
)
from lexome.results.types import Metrics

Task = Literal["binary", "multiclass", "multilabel", "regression"]
TASKS: tuple[Task, ...] = get_args(Task)
NAN = float("nan")


class Metric(NamedTuple):
    """How a metric is called in tables, and which way is better."""

    title: str
    better: Literal["higher", "lower", "neither"]


BINARY = {
    "auroc": Metric("AUROC", "higher"),
    "auprc": Metric("AUPRC", "higher"),  # average precision, as scikit-learn defines it
    "prevalence": Metric("prevalence", "neither"),  # the AUPRC of guessing
    "mcc": Metric("MCC", "higher"),
    "f1": Metric("F1", "higher"),
    "precision": Metric("precision", "higher"),
    "recall": Metric("recall", "higher"),
    "accuracy": Metric("accuracy", "higher"),
    "balanced_accuracy": Metric("balanced accuracy", "higher"),
    "brier": Metric("Brier score", "lower"),
    "ece": Metric("ECE", "lower"),
}
METRICS: dict[Task, dict[str, Metric]] = {  # of `Metrics.overall`; labels have the binary ones
    "binary": BINARY,
    "multiclass": {
        "accuracy": Metric("accuracy", "higher"),
        "balanced_accuracy": Metric("balanced accuracy", "higher"),
        "mcc": Metric("MCC", "higher"),
        "macro_f1": Metric("macro F1", "higher"),
        "macro_precision": Metric("macro precision", "higher"),
        "macro_recall": Metric("macro recall", "higher"),
        "macro_auroc": Metric("macro AUROC", "higher"),  # each class against the rest
        "macro_auprc": Metric("macro AUPRC", "higher"),
        "brier": Metric("Brier score", "lower"),  # summed over classes: 0 to 2
        "ece": Metric("ECE", "lower"),  # of the chosen class
    },
    "multilabel": {
        "exact_match": Metric("exact match", "higher"),
        "jaccard": Metric("Jaccard", "higher"),  # a row without labels, called so, counts 1
        "micro_f1": Metric("micro F1", "higher"),
    }
    | {
        f"macro_{name}": Metric(f"macro {metric.title}", metric.better)
        for name, metric in BINARY.items()
        if name != "prevalence"
    },
    "regression": {
        "spearman": Metric("Spearman", "higher"),
        "pearson": Metric("Pearson", "higher"),
        "r2": Metric("R2", "higher"),
        "rmse": Metric("RMSE", "lower"),
        "mae": Metric("MAE", "lower"),
    },
}


def measure(
    task: Task, truth: ArrayLike, prediction: ArrayLike, threshold: ArrayLike = 0.5
) -> Metrics:
    """All metrics of a task in one shape, whatever the task; see the four functions below.

    `threshold` is one number, or one a label, or each row's own (of rows that several models
    answered); tasks that decide nothing by it ignore it.
    """
    if task == "binary":
        return Metrics(binary_metrics(truth, prediction, threshold), [])
    if task == "multiclass":
        return multiclass_metrics(truth, prediction)
    if task == "multilabel":
        return multilabel_metrics(truth, prediction, threshold)
    if task == "regression":
        return Metrics(regression_metrics(truth, prediction), [])
    raise InputError("metrics", f"the task {task!r}", f"one of {', '.join(TASKS)}", "binary")


def binary_metrics(
    truth: ArrayLike, probability: ArrayLike, threshold: ArrayLike = 0.5
) -> dict[str, float]:
    """The metrics of a yes/no prediction, in the order of `METRICS["binary"]`.

    >>> found = binary_metrics([0, 0, 1, 1], [0.1, 0.6, 0.4, 0.9])
    >>> found["auroc"], found["mcc"], found["precision"]
    (0.75, 0.0, 0.5)
    """
    truth_N = check_truth(truth, "binary metrics", 1)
    probability_N = check_probabilities(probability, truth_N.shape, "binary metrics")
    return _of_one_label(truth_N, probability_N, decide(probability_N, threshold))


def _of_one_label(truth_N: Ints, probability_N: Floats, called_N: Bools) -> dict[str, float]:
    both = truth_N.min() != truth_N.max()
    yes = truth_N.any()
    called = called_N.astype(np.int64)
    found = {
        "auroc": sk.roc_auc_score(truth_N, probability_N) if both else NAN,
        "auprc": sk.average_precision_score(truth_N, probability_N) if both else NAN,
        "prevalence": truth_N.mean(),
        "mcc": sk.matthews_corrcoef(truth_N, called) if both else NAN,
        "f1": sk.f1_score(truth_N, called, zero_division=NAN) if yes or called.any() else NAN,
        "precision": sk.precision_score(truth_N, called, zero_division=NAN)
        if called.any()
        else NAN,
        "recall": sk.recall_score(truth_N, called, zero_division=NAN) if yes else NAN,
        "accuracy": sk.accuracy_score(truth_N, called),
        "balanced_accuracy": sk.balanced_accuracy_score(truth_N, called) if both else NAN,
        "brier": sk.brier_score_loss(truth_N, probability_N, pos_label=1),
        "ece": expected_calibration_error(truth_N, probability_N),
    }
    return {name: float(value) for name, value in found.items()}


def multiclass_metrics(truth_index: ArrayLike, probabilities: ArrayLike) -> Metrics:
    """The metrics of one class out of K; the call is the most probable class.

    Macro figures are means over the classes that occur in the truth (a class that does not
    occur cannot be judged); per label stands each class against the rest.

    Args:
        truth_index: (N,) numbers of the true classes, from 0.
        probabilities: (N, K), each row summing to 1.
    """
    where = "multi-class metrics"
    shape = np.shape(probabilities)
    if len(shape) != 2 or shape[1] < 2:
        raise InputError(
            where, f"probabilities of shape {shape}", "(rows, classes)", "one column a class"
        )
    truth_N = check_classes(truth_index, shape[1], where)
    probability_NK = check_probabilities(probabilities, (len(truth_N), shape[1]), where)
    called_N = probability_NK.argmax(axis=1)
    one_hot_NK = np.eye(shape[1], dtype=np.int64)[truth_N]
    per_label = [
        _of_one_label(one_hot_NK[:, k], probability_NK[:, k], called_N == k)
        for k in range(shape[1])
    ]
    several = len(np.unique(truth_N)) > 1
    macro = macro_means(per_label)
    right_N = (called_N == truth_N).astype(np.int64)
    values = {
        "accuracy": right_N.mean(),
        "balanced_accuracy": macro["recall"],
        "mcc": sk.matthews_corrcoef(truth_N, called_N) if several else NAN,
        "brier": np.square(probability_NK - one_hot_NK).sum(axis=1).mean(),
        "ece": expected_calibration_error(right_N, probability_NK.max(axis=1)),
    } | {f"macro_{name}": value for name, value in macro.items()}
    return Metrics({name: float(values[name]) for name in METRICS["multiclass"]}, per_label)


def multilabel_metrics(
    truth_matrix: ArrayLike, probabilities: ArrayLike, thresholds: ArrayLike = 0.5
) -> Metrics:
    """The metrics of K independent yes/no labels: (N, K) truth and probabilities.

    Macro figures are means over the labels of which the truth holds both classes; if one of
    these has an undefined precision (never called), so has the macro mean.
    """
    where = "multi-label metrics"
    truth_NK = check_truth(truth_matrix, where, 2)
    probability_NK = check_probabilities(probabilities, truth_NK.shape, where)
    called_NK = decide(probability_NK, thresholds)
    columns = range(truth_NK.shape[1])
    per_label = [
        _of_one_label(truth_NK[:, k], probability_NK[:, k], called_NK[:, k]) for k in columns
    ]
    both = (truth_NK & called_NK).sum(axis=1)
    either = (truth_NK | called_NK).sum(axis=1)
    total = truth_NK.sum() + called_NK.sum()
    values = {
        "exact_match": (truth_NK == called_NK).all(axis=1).mean(),
        "jaccard": np.where(either > 0, both / np.maximum(either, 1), 1.0).mean(),
        "micro_f1": 2 * both.sum() / total if total else NAN,
    } | {f"macro_{name}": value for name, value in macro_means(per_label).items()}
    return Metrics({name: float(values[name]) for name in METRICS["multilabel"]}, per_label)


def macro_means(per_label: list[dict[str, float]]) -> dict[str, float]:
    """Mean of each metric over the labels that can be judged: both classes are in the truth."""
    judged = [label for label in per_label if 0 < label["prevalence"] < 1]
    if not judged:
        return dict.fromkeys(BINARY, NAN)
    return {name: float(np.mean([label[name] for label in judged])) for name in BINARY}


def regression_metrics(truth: ArrayLike, value: ArrayLike) -> dict[str, float]:
    """Spearman, Pearson, R2 (against the mean of these rows), RMSE and MAE.

    >>> regression_metrics([1.0, 2.0, 3.0], [1.0, 2.0, 4.0])["spearman"]
    1.0
    """
    where = "regression metrics"
    given = np.asarray(truth, np.float64)
    if given.ndim != 1 or given.size == 0:
        raise InputError(
            where,
            f"a truth of shape {given.shape}",
            "one column of at least one row",
            "checking the part",
        )
    truth_N = check_values(given, given.shape, where)
    value_N = check_values(value, truth_N.shape, where)
    varied = np.ptp(truth_N) > 0
    both = varied and np.ptp(value_N) > 0
    found = {
        "spearman": _correlation(scipy.stats.spearmanr, truth_N, value_N) if both else NAN,
        "pearson": _correlation(scipy.stats.pearsonr, truth_N, value_N) if both else NAN,
        "r2": sk.r2_score(truth_N, value_N) if varied else NAN,
        "rmse": sk.root_mean_squared_error(truth_N, value_N),
        "mae": sk.mean_absolute_error(truth_N, value_N),
    }
    return {name: float(number) for name, number in found.items()}


def _correlation(
    kind: Callable[[Floats, Floats], tuple[float, float]], x_N: Floats, y_N: Floats
) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SciPy warns of nearly constant input; NaN says enough
        return float(kind(x_N, y_N)[0])


def is_collapsed(
    task: Task,
    prediction: ArrayLike,
    threshold: ArrayLike = 0.5,
    spread: float = 1e-3,
    truth: ArrayLike | None = None,
) -> bool:
    """True for a model that gives every row the same answer, or nearly the same number.

    Collapsed is: one class for all rows (multi-label: the same set of labels for all rows), or
    a standard deviation of the predicted values below `spread` in every column (regression:
    below `spread` times that of the truth; where no truth is given, times the size of the
    values). One row alone is never called collapsed.
    """
    values = np.asarray(prediction, np.float64)
    if len(values) < 2:
        return False
    if task == "regression" and truth is not None:
        return bool(values.std() <= spread * np.std(np.asarray(truth, np.float64)))
    if task == "regression":
        return bool(values.std() <= spread * max(float(np.abs(values).mean()), 1e-12))
    called = values.argmax(axis=1) if task == "multiclass" else decide(values, threshold)
    return bool((called == called[0]).all() or (values.std(axis=0) < spread).all())
