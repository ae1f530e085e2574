"""The heads of a probe: linear, nearest neighbours, a small network; what each is chosen among."""

# Letters: N training rows, M judged rows, D features, K outputs, S settings.
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lexome.errors import InputError
from lexome.evaluation.metrics import Task
from lexome.evaluation.weighted import weighted_metrics
from lexome.training.probing.folds import Turn
from lexome.training.target import Target

Floats = NDArray[np.float64]
# features and labels trained on, features judged, setting, task, outputs, seed -> (M,) or (M, K)
Answer = Callable[[Floats, NDArray[Any], Floats, float, Task, int, int], Floats]
HIDDEN = 64  # of the small network
PASSES = 40  # of the small network at most


class Head(NamedTuple):
    """One kind of head, and the settings that the inner split chooses among."""

    title: str
    setting: str  # what the numbers are
    settings: tuple[float, ...]
    answer: Answer


class Probed(NamedTuple):
    """The answers of one cell to the rows that are judged, in the order of the turns."""

    answers: Floats  # (N,) or (N, K); NaN for rows that no turn judges
    settings: list[float]  # what each turn chose
    figures: list[float]  # the metric within the judged rows of each turn


def find_heads(names: Sequence[str]) -> dict[str, Head]:
    """The heads of these names.

    Raises:
        InputError: a name that is none, or no name.
    """
    for name in names or ["nothing"]:
        if name not in HEADS:
            known = ", ".join(HEADS)
            raise InputError("heads", repr(name), f"some of {known}", "`--heads linear,knn`")
    return {name: HEADS[name] for name in dict.fromkeys(names)}


def probe_cell(
    head: Head,
    features_ND: NDArray[np.float32],
    target: Target,
    turns: Sequence[Turn],
    metric: str,
    seed: int,
) -> Probed:
    """Train a head in every turn on one cell's vectors, and answer for the rows that it judges.

    Features are standardised by the rows that are trained on, those alone. The setting is the one
    with the best metric on the inner split (the middle one where that is undefined); then the head
    is trained once more on all training rows of the turn.
    """
    num_outputs = target.num_outputs
    shape = (len(features_ND), num_outputs) if num_outputs > 1 else (len(features_ND),)
    answers = np.full(shape, np.nan)
    settings, figures = [], []
    truth = target.values

    def ask(train: NDArray[np.int64], judged: NDArray[np.int64], setting: float) -> Floats:
        known_ND, asked_MD = standardise(features_ND[train], features_ND[judged])
        task = target.kind
        return head.answer(known_ND, truth[train], asked_MD, setting, task, num_outputs, seed)

    for turn in turns:
        tried_S = np.array(
            [
                figure(target.kind, truth[turn.choice], ask(turn.inner, turn.choice, one), metric)
                for one in head.settings
            ]
        )
        place = len(tried_S) // 2 if np.isnan(tried_S).all() else int(np.nanargmax(tried_S))
        settings.append(head.settings[place])
        said = ask(turn.train, turn.judged, head.settings[place])
        answers[turn.judged] = said
        figures.append(figure(target.kind, truth[turn.judged], said, metric))
    return Probed(answers, settings, figures)


def figure(task: Task, truth: NDArray[Any], said: Floats, metric: str) -> float:
    """One metric; NaN where it is undefined. The bootstrap's form of it, which is much faster."""
    values, _ = weighted_metrics(task, truth, said)(np.ones((1, len(truth))))
    return float(values[metric][0])


def standardise(
    train_ND: NDArray[np.float32], judged_MD: NDArray[np.float32]
) -> tuple[Floats, Floats]:
    """Both with the mean 0 and deviation 1 of the first; a feature that never varies becomes 0."""
    mean_D, scale_D = train_ND.mean(0, dtype=np.float64), train_ND.std(0, dtype=np.float64)
    is_flat_D = scale_D <= 1e-7 * np.abs(mean_D) + 1e-12
    scale_D[is_flat_D] = np.inf
    return (train_ND - mean_D) / scale_D, (judged_MD - mean_D) / scale_D


def _linear(
    train_ND: Floats, truth: NDArray[Any], judged_MD: Floats, setting: float, task: Task,
    num_outputs: int, seed: int,
) -> Floats:  # fmt: skip
    """Logistic regression with C = `setting` (one label at a time where there are several), ridge
    regression with alpha = 1 / `setting` for numbers; penalties count for the mean over features.
    """
    from sklearn.linear_model import LogisticRegression, Ridge

    # By the number of features, so that one grid serves narrow and wide models.
    strength = setting / train_ND.shape[1]
    if task == "regression":
        ridge = Ridge(alpha=1 / strength).fit(train_ND, truth)
        return np.asarray(ridge.predict(judged_MD), np.float64)

    def fit(values: NDArray[Any]) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # not quite converged is good enough here
            return LogisticRegression(C=strength, max_iter=300).fit(train_ND, values)

    return _probabilities(fit, truth, judged_MD, task, num_outputs)


def _neighbours(
    train_ND: Floats, truth: NDArray[Any], judged_MD: Floats, setting: float, task: Task,
    num_outputs: int, seed: int,
) -> Floats:  # fmt: skip
    """The mean of the `setting` nearest rows by cosine, nearer ones weighing more."""
    from sklearn.neighbors import NearestNeighbors

    num = min(int(setting), len(train_ND))
    found = NearestNeighbors(n_neighbors=num, metric="cosine", algorithm="brute").fit(train_ND)
    distance_Mk, row_Mk = found.kneighbors(judged_MD)
    weight_Mk = np.maximum(2.0 - distance_Mk, 1e-9)  # 1 + cosine
    weight_Mk /= weight_Mk.sum(axis=1, keepdims=True)
    values = np.eye(num_outputs)[truth] if task == "multiclass" else truth.astype(np.float64)
    mean: Floats = np.einsum("mk,mk...->m...", weight_Mk, values[row_Mk])
    # Rounding may leave a sum of weights a little beside 1.
    return mean if task == "regression" else mean.clip(0.0, 1.0)


def _network(
    train_ND: Floats, truth: NDArray[Any], judged_MD: Floats, setting: float, task: Task,
    num_outputs: int, seed: int,
) -> Floats:  # fmt: skip
    """One hidden layer of 64, ReLU, Adam, weight decay `setting`."""
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    shared: dict[str, Any] = {
        "hidden_layer_sizes": (HIDDEN,), "alpha": setting, "max_iter": PASSES, "random_state": seed,
        "batch_size": min(128, len(train_ND)), "tol": 1e-3, "n_iter_no_change": 5,
        "learning_rate_init": 2e-3,
    }  # fmt: skip
    train_ND, judged_MD = train_ND.astype(np.float32), judged_MD.astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # stopped after so many passes is what was asked for
        if task == "regression":
            mean, scale = float(truth.mean()), float(truth.std()) or 1.0
            model = MLPRegressor(**shared).fit(train_ND, (truth - mean) / scale)
            return np.asarray(model.predict(judged_MD) * scale + mean, np.float64)
        return _probabilities(
            lambda values: MLPClassifier(**shared).fit(train_ND, values), truth, judged_MD, task,
            num_outputs,
        )  # fmt: skip


def _probabilities(
    fit: Callable[[NDArray[Any]], Any], truth: NDArray[Any], judged_MD: Floats, task: Task,
    num_outputs: int,
) -> Floats:  # fmt: skip
    """Probabilities of a fitted classifier in our shape; classes that training lacks get 0."""
    if task == "multilabel":
        columns = [
            _probabilities(fit, column, judged_MD, "binary", 1) for column in truth.T
        ]  # one against the rest
        return np.stack(columns, axis=1)
    if truth.min() == truth.max():
        found = np.zeros((len(judged_MD), max(num_outputs, 2)))
        found[:, int(truth[0])] = 1.0
    else:
        model = fit(truth)
        found = np.zeros((len(judged_MD), max(num_outputs, 2)))
        found[:, model.classes_] = model.predict_proba(judged_MD)
    return found[:, 1] if task == "binary" else found / found.sum(axis=1, keepdims=True)


HEADS: dict[str, Head] = {
    "linear": Head("linear", "C x features", (0.01, 0.1, 1.0, 10.0, 100.0), _linear),
    "knn": Head("nearest neighbours", "k", (1, 3, 9, 27, 81), _neighbours),
    "mlp": Head("small network", "weight decay", (0.1, 3.0, 30.0), _network),
}
