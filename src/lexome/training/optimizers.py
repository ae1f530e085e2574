"""How gradients become steps: AdamW, or Muon for the matrices of the blocks beside it."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from lexome.errors import EnvironmentProblem
from lexome.layers.block import BLOCKS
from lexome.training.pretraining.recipe import TrainingRecipe


def make_optimizers(
    model: nn.Module, training: TrainingRecipe, device: str
) -> list[torch.optim.Optimizer]:
    """AdamW for all that is trained.

    With `muon`, each matrix of a block instead steps along its orthogonalised momentum, scaled so
    that the learning rate and weight decay mean what they mean to AdamW.
    Source: Jordan 2024, "Muon"; Liu et al. 2025, "Muon is scalable for LLM training".
    """
    trained = [p for p in model.parameters() if p.requires_grad]
    muon: list[nn.Parameter] = []
    if training.optimizer == "muon":
        inner = {id(p) for m in model.modules() if isinstance(m, BLOCKS) for p in m.parameters()}
        muon = [p for p in trained if p.ndim == 2 and id(p) in inner]
    others = [p for p in trained if not any(p is q for q in muon)]
    made: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(
            decay_groups(others, training.weight_decay),
            lr=training.learning_rate,
            betas=(training.first_moment, training.second_moment),
            eps=training.epsilon,
            fused=device.startswith("cuda"),
        )
    ]
    if muon:
        made.append(_make_muon(muon, training))
    return made


def decay_groups(parameters: Iterable[nn.Parameter], weight_decay: float) -> list[dict[str, Any]]:
    """Groups for an optimiser: vectors (biases, norms) do not decay."""
    trained = [p for p in parameters if p.requires_grad]
    return [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]


def _make_muon(matrices: list[nn.Parameter], training: TrainingRecipe) -> torch.optim.Optimizer:
    if not hasattr(torch.optim, "Muon"):
        raise EnvironmentProblem(
            "training.optimizer",
            f"muon with torch {torch.__version__}",
            "torch 2.9 or later",
            'a newer torch, or optimizer = "adamw"',
        )
    found: torch.optim.Optimizer = torch.optim.Muon(
        matrices,
        lr=training.learning_rate,
        weight_decay=training.weight_decay,
        adjust_lr_fn="match_rms_adamw",
    )
    return found
