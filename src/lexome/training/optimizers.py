"""How gradients become steps: AdamW, or Muon for the matrices of the blocks beside it."""

import torch
from torch import nn

from lexome.errors import EnvironmentProblem
from lexome.layers.block import Block
from lexome.training.recipe import TrainingRecipe


def make_optimizers(
    model: nn.Module, training: TrainingRecipe, device: str
) -> list[torch.optim.Optimizer]:
    """AdamW for all that is trained; vectors (biases, norms) do not decay.

    With `muon`, each matrix of a block instead steps along its orthogonalised momentum, scaled so
    that the learning rate and weight decay mean what they mean to AdamW.
    Source: Jordan 2024, "Muon"; Liu et al. 2025, "Muon is scalable for LLM training".
    """
    trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
    muon: list[nn.Parameter] = []
    if training.optimizer == "muon":
        inner = {id(p) for m in model.modules() if isinstance(m, Block) for p in m.parameters()}
        muon = [p for p in trained.values() if p.ndim == 2 and id(p) in inner]
    others = [p for p in trained.values() if not any(p is q for q in muon)]
    made: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(
            [
                {
                    "params": [p for p in others if p.ndim > 1],
                    "weight_decay": training.weight_decay,
                },
                {"params": [p for p in others if p.ndim <= 1], "weight_decay": 0.0},
            ],
            lr=training.learning_rate,
            betas=(training.first_moment, training.second_moment),
            eps=training.epsilon,
            fused=device.startswith("cuda"),
        )
    ]
    if muon:
        made.append(_make_muon(muon, training))
    return made


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
