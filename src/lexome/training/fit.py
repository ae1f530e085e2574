"""Trains every seed of a run and chooses the thresholds, on the validation rows alone."""

# Letters: R seeds, N rows.
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from lexome.architectures.predictor import Predictor
from lexome.errors import InputError
from lexome.evaluation.calibration import choose_threshold, choose_thresholds
from lexome.evaluation.metrics import measure
from lexome.progress import show_progress
from lexome.results.files import write_text
from lexome.training.examples import Examples, num_others
from lexome.training.fitted import Fitted, Threshold
from lexome.training.loop import Job, fill, train
from lexome.training.objectives import make_objective
from lexome.training.settings import FinetuneSettings
from lexome.training.setup import Setup, make_network
from lexome.training.target import Target
from lexome.training.tasks import sub_answers

# The figure whose best epoch is kept, for each kind of task.
MONITORS = {
    "binary": "auprc",
    "multiclass": "macro_auprc",
    "multilabel": "macro_auprc",
    "regression": "spearman",
    "multitask": "mean_headline",  # the mean of these over the tasks; 0 for one that is undefined
}
SHOWN = (
    "auroc",
    "auprc",
    "mcc",
    "macro_auroc",
    "macro_auprc",
    "macro_f1",
    "accuracy",
    "spearman",
    "r2",
)


FITTED_TO = 1000  # sequences at most whose vectors give mean and deviation


class Fits(NamedTuple):
    """What training gives."""

    fitted: Fitted  # its threshold still to be chosen
    history: list[dict[str, Any]]  # one entry an epoch of a seed
    validation: NDArray[np.float32]  # of every seed, to the validation rows: (R, N) or (R, N, K)


class Parts(NamedTuple):
    """Row numbers of each part."""

    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]


def fit_seeds(
    settings: FinetuneSettings,
    setup: Setup,
    examples: Examples,
    target: Target,
    parts: Parts,
    folder: Path,
    quiet: bool = True,
    watch: Callable[[dict[str, Any]], None] = lambda entry: None,
) -> Fits:
    """Train a network a seed.

    States are kept in `folder`; a finished seed is not trained again. `watch` is told of every
    epoch, and may raise to end the training.
    """
    recipe = settings.recipe
    objective = make_objective(
        target,
        parts.train,
        recipe.smoothing,
        recipe.class_weights,
        recipe.positive_share,
        settings.gamma,
    )

    def log(entry: dict[str, Any]) -> None:
        _log(folder / "log.jsonl", entry)
        watch(entry)

    train_rows = examples.of_sequences(parts.train)
    networks: list[Predictor] = []
    history: list[dict[str, Any]] = []
    validation: list[NDArray[np.float32]] = []
    for number, seed in enumerate(settings.all_seeds, start=1):
        network = make_network(setup, settings, target.num_outputs, examples, seed)
        if examples.features_NG is not None:
            network.fit_features(examples.features_NG[examples.places(parts.train)])
        if examples.vectors is not None:
            some = examples.places(train_rows[:: -(-len(train_rows) // FITTED_TO)])
            vectors = np.concatenate([examples.vectors.one(row) for row in some])
            network.fit_vectors(torch.from_numpy(vectors).float())
        job = Job(
            examples=examples,
            train=train_rows,
            validation=examples.of_sequences(parts.validation),
            objective=objective,
            recipe=recipe,
            tokenizer=setup.tokenizer,
            dtype=setup.head_dtype,
            judge=lambda found: _judge(target, parts.validation, found),
            monitor=MONITORS[target.task],
            log=log,
            budget=setup.budget,
        )
        label = f"Training   seed {number}/{settings.seeds}"
        total = recipe.epochs * len(train_rows)
        if target.unit == "sequence":
            total = recipe.epochs * rows_an_epoch(target, parts.train, recipe.positive_share)
        with show_progress(label, total, unit="sequences", quiet=quiet) as progress:
            path = folder / f"state-{seed}.safetensors"
            trained = train(network, job, seed, path, progress)
        fill(network, trained.weights)
        networks.append(network.eval())
        history += trained.history
        validation.append(trained.validation)
    # A kill between an epoch's line and its state makes that line twice.
    write_text(folder / "log.jsonl", "".join(json.dumps(entry) + "\n" for entry in history))
    fitted = Fitted(settings, setup, objective, target.labels, networks, None)
    return Fits(fitted, history, np.stack(validation))


def rows_an_epoch(target: Target, train_rows: NDArray[np.int64], share: float) -> int:
    """Sequences that one epoch draws."""
    positives = int((target.values[train_rows] == 1).sum()) if target.task == "binary" else 0
    return positives + num_others(positives, len(train_rows), share)


def choose(target: Target, rows: NDArray[np.int64], found: NDArray[Any]) -> Threshold:
    """The threshold of best MCC on some rows: one number, one a label or task, or None."""
    if target.subs:
        each = [choose(sub, rows, answers) for _, sub, answers in sub_answers(target, found)]
        return [limit if isinstance(limit, float) else 0.5 for limit in each]
    truth, found = target.judged(rows, found)
    if target.task == "binary":
        return choose_threshold(truth, found).value
    if target.task == "multilabel":
        return [choice.value for choice in choose_thresholds(truth, found)]
    return None


def or_half(threshold: Threshold) -> float | list[float]:
    """A threshold for functions that need a number; it is ignored where nothing is decided."""
    return 0.5 if threshold is None else threshold


def _judge(target: Target, rows: NDArray[np.int64], found: NDArray[Any]) -> dict[str, float]:
    if target.subs:
        return _judge_tasks(target, rows, found)
    threshold = or_half(choose(target, rows, found))
    truth, found = target.judged(rows, found)
    overall = measure(target.kind, truth, found, threshold).overall
    shown = {name: overall[name] for name in SHOWN if name in overall}
    return {"loss": _loss(target, truth, found)} | shown


def _judge_tasks(target: Target, rows: NDArray[np.int64], found: NDArray[Any]) -> dict[str, float]:
    """The sum of the tasks' losses, and the mean of their figures."""
    each = [_judge(sub, rows, answers) for _, sub, answers in sub_answers(target, found)]
    figures = [one[MONITORS[sub.task]] for one, sub in zip(each, target.subs, strict=True)]
    mean = float(np.mean(np.nan_to_num(figures)))
    return {"loss": sum(one["loss"] for one in each), MONITORS[target.task]: mean}


def _loss(target: Target, truth: NDArray[Any], found: NDArray[Any]) -> float:
    """Mean negative log-likelihood, or mean squared error relative to the variance."""
    if target.task == "regression":
        return float(np.square(truth - found).mean() / max(truth.var(), 1e-12))
    if target.task == "multiclass":
        return float(-np.log(found[np.arange(len(truth)), truth].clip(1e-7)).mean())
    likely = np.where(truth == 1, found, 1 - found)
    return float(-np.log(likely.clip(1e-7)).mean())


def _log(path: Path, entry: dict[str, Any]) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry) + "\n")


def split_part_rows(parts: Sequence[str] | NDArray[np.str_]) -> Parts:
    """Row numbers from part names."""
    names = np.asarray(parts)
    return Parts(*(np.flatnonzero(names == name) for name in ("train", "validation", "test")))


def check_trained(target: Target, parts: Parts, where: str) -> None:
    """Refuse a split whose training part cannot teach what the other parts ask.

    Raises:
        InputError: a class, or a label of several, that training rows do not show.
    """
    if target.residues is not None or target.task == "binary":
        return  # checked elsewhere: `check_part_labels`, `check_parts`
    values = target.values[parts.train]
    if target.task == "regression":
        if np.ptp(values) == 0:
            seen = f"{len(values):,} rows that all have the value {values[0]:g}"
            raise InputError(f"{where}, part train", seen, "numbers that differ", "another split")
        return
    shown = (
        np.bincount(values, minlength=len(target.labels))
        if target.task == "multiclass"
        else np.minimum(values.sum(axis=0), (1 - values).sum(axis=0))
    )
    for label, count in zip(target.labels, shown, strict=True):
        if not count:
            constant = target.task == "multilabel"
            raise InputError(
                f"{where}, part train",
                f"the label {label!r} always or never given"
                if constant
                else f"no row of {label!r}",
                "both kinds of rows" if constant else "rows of every class in training",
                "another split or `--seed`, or leaving that label out",
            )
