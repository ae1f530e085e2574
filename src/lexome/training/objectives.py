"""What training makes small, for each kind of task; and outputs turned into answers."""

# Letters: S sequences, N rows, C outputs, K labels.
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from lexome.errors import InputError
from lexome.training.target import Target, lie_far


class Objective(NamedTuple):
    """How outputs are judged against targets in training, and read afterwards."""

    task: str
    smoothing: float
    class_weights: Tensor | None  # (C,) for classes and labels
    base_rate: float  # binary: share of positives among the rows that training draws
    mean: float  # regression: of the training targets
    scale: float
    shift: float  # binary: added to the logit, to undo a drawn share of positives
    gamma: float = 0.0  # of the focal loss; 0 is cross-entropy
    labels: tuple[str, ...] = ()  # of one task of several: its classes
    weight: float = 1.0  # of one task of several: rows of the training part to those with a label
    parts: tuple["Objective", ...] = ()  # of several tasks

    @property
    def num_outputs(self) -> int:
        """Numbers that one task of several gives for each row."""
        return len(self.labels) if self.task == "multiclass" else 1

    @property
    def is_far(self) -> bool:
        """Whether these are numbers that 32 bits cannot tell apart: read in 64 bits then."""
        return self.task == "regression" and lie_far(self.mean, self.scale)


def check_loss(task: str, loss: str, weighting: str) -> None:
    """Refuse what only classes have where numbers are predicted.

    Raises:
        InputError: focal loss or class weights for a regression.
    """
    if task != "regression":
        return
    for name, seen, plain in (
        ("loss", loss, "cross-entropy"),
        ("class_weights", weighting, "none"),
    ):
        if seen != plain:
            raise InputError(
                name,
                f"{seen} for a regression",
                "labels that are classes: a number has none, and is fitted by squared error",
                f"leaving `--{name.replace('_', '-')}` out, or `--task multiclass`",
            )


def make_objective(
    target: Target,
    rows: NDArray[np.int64],
    smoothing: float,
    weighting: str,
    share: float,
    gamma: float = 0.0,
) -> Objective:
    """The objective for the training rows of a target; of several tasks no share is drawn.

    Numbers among several tasks are fitted by squared error, whatever the loss of classes is.
    """
    if target.subs:
        parts = [make_objective(sub, rows, smoothing, weighting, 0.0, gamma) for sub in target.subs]
        weighted = [
            part._replace(labels=sub.labels, weight=len(rows) / max(len(sub.truth(rows)), 1))
            for part, sub in zip(parts, target.subs, strict=True)
        ]
        return Objective(target.task, smoothing, None, 0.5, 0.0, 1.0, 0.0, parts=tuple(weighted))
    values = target.truth(rows)
    weights = None
    mean, scale, shift, rate = 0.0, 1.0, 0.0, 0.5
    if target.task == "regression":
        mean, scale = float(values.mean()), float(values.std()) or 1.0
    elif target.task == "binary":
        true_rate = float(values.mean())
        rate = max(share, true_rate) if 0 < true_rate < 1 else true_rate
        # A model trained where positives are drawn more often is too sure of them by the ratio of
        # the odds; taking that off the logit gives probabilities for the data as they are.
        shift = float(np.log(true_rate / (1 - true_rate)) - np.log(rate / (1 - rate)))
    if weighting == "balanced" and target.task == "binary":
        weight = (1 - rate) / rate  # balances the rows as they are drawn
        weights, shift = torch.tensor([weight], dtype=torch.float32), shift - float(np.log(weight))
    elif weighting == "balanced" and target.task != "regression":
        weights = _balanced(target, values)
    return Objective(target.task, smoothing, weights, rate, mean, scale, shift, gamma)


def loss_sum(objective: Objective, outputs_SC: Tensor, targets: NDArray[Any]) -> Tensor:
    """The loss summed over sequences (or residues): the caller divides by the size of the batch.

    Focal loss (Lin et al. 2017, ICCV, equation 5) multiplies each class' term of the cross-entropy
    by (1 - its probability) to the power of gamma; class weights are its alpha.
    """
    outputs_SC = outputs_SC.float()
    if objective.parts:
        return _sum_of_tasks(objective, outputs_SC, targets)
    if objective.is_far:
        wanted = (targets - objective.mean) / objective.scale
        wanted_S = torch.from_numpy(wanted.astype(np.float32)).to(outputs_SC.device)
        return F.mse_loss(outputs_SC[:, 0], wanted_S, reduction="sum")
    truth = torch.from_numpy(np.ascontiguousarray(targets)).to(outputs_SC.device)
    weights = objective.class_weights
    if weights is not None:
        weights = weights.to(outputs_SC.device)
    if objective.task == "regression":
        wanted_S = (truth.float() - objective.mean) / objective.scale
        return F.mse_loss(outputs_SC[:, 0], wanted_S, reduction="sum")
    gamma = objective.gamma
    if objective.task == "multiclass" and gamma:
        return _focal_classes(outputs_SC, truth, weights, objective.smoothing, gamma)
    if objective.task == "multiclass":
        return F.cross_entropy(
            outputs_SC, truth, weights, reduction="sum", label_smoothing=objective.smoothing
        )
    logits = outputs_SC[:, 0] if objective.task == "binary" else outputs_SC
    truth = truth.float()
    prior = objective.base_rate if objective.task == "binary" else 0.5
    smooth = truth * (1 - objective.smoothing) + objective.smoothing * prior
    if gamma:
        losses = _focal_binary(logits, smooth, gamma)
    else:
        losses = F.binary_cross_entropy_with_logits(logits, smooth, reduction="none")
    if weights is not None:
        losses = losses * torch.where(
            truth > 0.5, weights[-1] if logits.dim() == 1 else weights, 1.0
        )
    return losses.sum() if logits.dim() == 1 else losses.mean(1).sum()


def _focal_binary(logits: Tensor, truth: Tensor, gamma: float) -> Tensor:
    """For each logit; `truth` may lie between 0 and 1."""
    yes, no = F.logsigmoid(logits), F.logsigmoid(-logits)
    return -truth * (gamma * no).exp() * yes - (1 - truth) * (gamma * yes).exp() * no


def _focal_classes(
    outputs_SC: Tensor, truth_S: Tensor, weights_C: Tensor | None, smoothing: float, gamma: float
) -> Tensor:
    log_SC = outputs_SC.log_softmax(-1)
    # Never 0, where a power below 1 has no slope.
    rest_SC = (1 - log_SC.exp()).clamp_min(torch.finfo(log_SC.dtype).eps)
    true_SC = F.one_hot(truth_S, log_SC.shape[1]).to(log_SC.dtype)
    share_SC = true_SC * (1 - smoothing) + smoothing / log_SC.shape[1]
    if weights_C is not None:
        share_SC = share_SC * weights_C
    return -(share_SC * rest_SC.pow(gamma) * log_SC).sum()


def read_outputs(objective: Objective, outputs_NC: Tensor) -> NDArray[Any]:
    """Probabilities (N,) or (N, K), or values (N,), from a network's outputs.

    They are float32; values that lie far from 0 beside their spread are float64.
    """
    outputs_NC = outputs_NC.float()
    if objective.parts:
        blocks = torch.split(outputs_NC, [part.num_outputs for part in objective.parts], dim=1)
        found = [
            read_outputs(part, block).reshape(len(block), -1)
            for part, block in zip(objective.parts, blocks, strict=True)
        ]
        return np.concatenate(found, axis=1)
    if objective.is_far:
        outputs_NC = outputs_NC.double()
    if objective.task == "regression":
        return (outputs_NC[:, 0] * objective.scale + objective.mean).numpy()
    if objective.task == "multiclass":
        return outputs_NC.softmax(-1).numpy()
    if objective.task == "binary":
        return (outputs_NC[:, 0] + objective.shift).sigmoid().numpy()
    return outputs_NC.sigmoid().numpy()


def _sum_of_tasks(
    objective: Objective, outputs_SC: Tensor, targets_SK: NDArray[np.float64]
) -> Tensor:
    """The tasks' losses, each over its labelled rows, so weighted that each is a mean over them."""
    total = outputs_SC.sum() * 0.0  # of a batch without a label
    blocks = torch.split(outputs_SC, [part.num_outputs for part in objective.parts], dim=1)
    for part, block, targets_S in zip(objective.parts, blocks, targets_SK.T, strict=True):
        known = ~np.isnan(targets_S)
        if known.any():
            kind = np.float64 if part.task == "regression" else np.int64
            some = block[torch.from_numpy(known).to(block.device)]
            total = total + part.weight * loss_sum(part, some, targets_S[known].astype(kind))
    return total


def objective_facts(objective: Objective) -> dict[str, Any]:
    """What is saved of an objective: all that reading outputs needs."""
    facts = objective._replace(class_weights=None)._asdict()
    return facts | {"parts": [objective_facts(part) for part in objective.parts]}


def objective_of(facts: dict[str, Any]) -> Objective:
    """What `objective_facts` wrote."""
    parts = tuple(objective_of(part) for part in facts.get("parts", ()))
    labels = tuple(facts.get("labels", ()))
    return Objective(**(facts | {"class_weights": None, "parts": parts, "labels": labels}))


def _balanced(target: Target, values: NDArray[Any]) -> Tensor:
    if target.task == "multiclass":
        counts = np.bincount(values, minlength=len(target.labels)).clip(1)
        return torch.tensor(len(values) / (len(counts) * counts), dtype=torch.float32)
    rate = values.mean(0).clip(1e-6, 1 - 1e-6)
    return torch.tensor(np.atleast_1d((1 - rate) / rate), dtype=torch.float32)
