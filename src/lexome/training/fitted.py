"""A trained model in memory: its networks, one a seed, and what turns sequences into answers."""

# Letters: R seeds, N sequences, K labels.
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lexome.architectures.predictor import Predictor
from lexome.evaluation.decisions import decide
from lexome.sequence.pairs import Content
from lexome.training.examples import Examples, Rows
from lexome.training.loop import answers
from lexome.training.objectives import Objective
from lexome.training.settings import FinetuneSettings
from lexome.training.setup import Setup, make_examples
from lexome.training.target import Target

AT_ONCE = 2000  # sequences of which every residue's vector lies in memory
Threshold = float | list[float] | None  # binary; one a label; None where nothing is decided


class Fitted(NamedTuple):
    """Everything that predicting needs."""

    settings: FinetuneSettings
    setup: Setup
    objective: Objective
    labels: tuple[str, ...]
    networks: list[Predictor]
    threshold: Threshold

    @property
    def task(self) -> str:
        """binary, multiclass, multilabel or regression."""
        return self.objective.task

    @property
    def answers_residues(self) -> bool:
        """Whether there is an answer to every residue."""
        return self.settings.answers_residues


def predict_each(
    fitted: Fitted, ids: Sequence[str], sequences: Sequence[Content]
) -> NDArray[np.float32]:
    """Answers of every seed's network to clean sequences, (R, N) or (R, N, K), in fp32.

    Where residues are answered, N counts those of all sequences, end to end.
    """
    if fitted.setup.family == "residues" and len(ids) > AT_ONCE:
        cuts = [slice(start, start + AT_ONCE) for start in range(0, len(ids), AT_ONCE)]
        return np.concatenate([predict_each(fitted, ids[c], sequences[c]) for c in cuts], axis=1)
    num = len(sequences)
    unknown = num if not fitted.answers_residues else sum(map(len, sequences))
    targets = np.zeros(unknown, np.int64)
    examples = make_examples(fitted.setup, fitted.settings, ids, sequences, targets)
    return answer_each(fitted, examples, np.arange(num))


def answer_each(fitted: Fitted, examples: Examples, rows: Rows) -> NDArray[np.float32]:
    """The same for some rows of what was made from sequences."""
    budget, rows = fitted.setup.budget, examples.of_sequences(rows)
    while True:
        before = budget.tokens
        found = [
            answers(network, examples, rows, fitted.objective, budget)
            for network in fitted.networks
        ]
        if budget.tokens == before:  # one budget for all: a reloaded run can give the same bits
            return np.stack(found)


def predict_mean(
    fitted: Fitted, ids: Sequence[str], sequences: Sequence[Content]
) -> NDArray[np.float64]:
    """The mean of the seeds' answers, (N,) or (N, K): what `lexome predict` gives."""
    mean: NDArray[np.float64] = predict_each(fitted, ids, sequences).mean(0, dtype=np.float64)
    return mean


def decide_labels(
    task: str,
    labels: Sequence[str],
    answers_N: NDArray[Any],
    threshold: Threshold,
    exact: bool = False,
) -> list[str]:
    """The label that each answer stands for, as text; several are joined by ";".

    Numbers have 6 digits, or with `exact` all that they need.
    """
    if task == "regression":
        return [spell_number(value, exact) for value in answers_N]
    if task == "multiclass":
        return [labels[k] for k in answers_N.argmax(-1)]
    called = decide(answers_N, 0.5 if threshold is None else threshold)
    if task == "binary":
        return [labels[int(yes)] for yes in called]
    return [";".join(np.array(labels)[row]) for row in called]


def truth_labels(target: Target) -> list[str]:
    """The labels of a target as text, spelled as `decide_labels` spells predictions."""
    if target.residues is not None:
        return target.residues.texts
    if target.subs:  # for comparing alone
        each = [truth_labels(sub) for sub in target.subs]
        known = [sub.known for sub in target.subs if sub.known is not None]
        cells = [np.where(k, t, "") for k, t in zip(known, each, strict=True)]
        return [";".join(row) for row in zip(*cells, strict=True)]
    if target.task == "regression":
        return [spell_number(value, target.is_far) for value in target.values]
    if target.task == "multilabel":
        return [";".join(np.array(target.labels)[row.astype(bool)]) for row in target.values]
    return [target.labels[i] for i in target.values]


def spell_number(value: float, exact: bool) -> str:
    """A number in 6 digits, or in as many as it takes to read the same number again.

    >>> spell_number(1000000.25, False), spell_number(1000000.25, True)
    ('1e+06', '1000000.25')
    """
    return repr(float(value)) if exact else f"{value:.6g}"


def label_keys(target: Target) -> list[str]:
    """The same for comparing alone: of labels as long as sequences only the hash."""
    texts = truth_labels(target)
    if target.residues is None:
        return texts
    return [blake2b(text.encode(), digest_size=12).hexdigest() for text in texts]
