"""Fits a Potts model of a family by its regularised pseudo-likelihood."""

# Letters: R rows, B rows of a batch, C columns, A letters (20), D = C * A.
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from lexome.devices import free_memory
from lexome.errors import EnvironmentProblem
from lexome.progress import Progress
from lexome.seeds import derive_seed
from lexome.sequence.family_rows import GAP_CODE, Codes, Floats
from lexome.training.alignment_models.pace import Watch, draw_rows, pace, product_dtype
from lexome.training.alignment_models.settings import FamilySettings

# Penalties as EVcouplings sets them: gaps left out, lambda_J times (letters - 1) (columns - 1).
COUPLING_PENALTY, FIELD_PENALTY = 0.01, 0.01
STEPS, BATCH, LEARNING_RATE = 200, 512, 0.01
BYTES = 32  # of memory a coupling: itself, gradient, moments, what is in passing, what is kept


class PottsFit(NamedTuple):
    """Fields (C, A), couplings (D, D), and the last objective per row in nats."""

    tensors: dict[str, Tensor]
    facts: dict[str, float]


def fit_potts(
    codes_RC: Codes,
    weights_R: Floats,
    settings: FamilySettings,
    progress: Progress,
    watch: Watch | None = None,
) -> PottsFit:
    """Fields and couplings that make each letter likely given all others of its row.

    Minimises, over the symmetric couplings J (zero within a column) and the fields h,

        - sum_n w_n sum_c log p(x_nc | x_n without c) + l_J sum_{c<d} |J_cd|^2 + l_h sum_c |h_c|^2

    with l_h = 0.01, l_J = 0.01 (A - 1) (C - 1); gaps are missing data: they predict nothing and
    are not predicted. Rows are drawn by their weights, 512 a step; Adam goes down the gradient at
    a rate that ends at nothing. The products run in bf16 where the CPU has it, sums in fp32.
    Source: Ekeberg et al. 2013; Hopf et al. 2017 (EVmutation, plmc).

    Raises:
        EnvironmentProblem: not enough memory for so many columns.
    """
    num_columns = codes_RC.shape[1]
    size = num_columns * GAP_CODE
    effective = float(weights_R.sum())
    check_memory(num_columns)
    generator = torch.Generator().manual_seed(derive_seed("potts", settings.seed))
    codes = torch.from_numpy(codes_RC.astype(np.int64))
    weights = torch.from_numpy(weights_R)
    dtype = product_dtype(settings)
    fields_D = start_fields(codes_RC, weights_R).requires_grad_()
    couplings_DD = torch.zeros(size, size, requires_grad=True)
    coupling_penalty = COUPLING_PENALTY * (GAP_CODE - 1) * (num_columns - 1)
    optimizer = torch.optim.Adam(
        [
            {"params": [couplings_DD], "weight_decay": 2 * coupling_penalty / effective},
            {"params": [fields_D], "weight_decay": 2 * FIELD_PENALTY / effective},
        ],
        betas=(0.9, 0.99),
        fused=True,
    )

    def made() -> dict[str, Tensor]:
        fields_CA = fields_D.detach().clone().view(num_columns, GAP_CODE)
        return {"fields": fields_CA, "couplings": couplings_DD.detach().clone()}

    step, loss = 0, float("nan")
    for rate in pace(settings, STEPS, progress, LEARNING_RATE, warmup=10):
        for group in optimizer.param_groups:
            group["lr"] = rate
        batch_BC = codes[draw_rows(weights, BATCH, generator)]
        loss, fields_D.grad, couplings_DD.grad = pseudo_gradient(
            batch_BC, fields_D.detach(), couplings_DD.detach(), dtype
        )
        optimizer.step()
        step += 1
        progress.note(f"{loss / num_columns:.3f} nats a residue")
        if watch is not None:
            watch(step, made)
    facts = {"steps": step, "last_batch_loss": loss, "coupling_penalty": coupling_penalty}
    return PottsFit(made(), facts)


def check_memory(num_columns: int) -> None:
    """Refuse a family whose couplings do not fit in memory, before the work.

    Raises:
        EnvironmentProblem: as said.
    """
    needed, free = BYTES * (num_columns * GAP_CODE) ** 2, free_memory("cpu")
    if free is not None and needed > free:
        raise EnvironmentProblem(
            f"Potts model of {num_columns:,} columns",
            f"{free / 1e9:.1f} GB of free memory",
            f"about {needed / 1e9:.1f} GB",
            "an alignment of a part of the protein, the rule vae, or a machine with more memory",
        )


def pseudo_gradient(
    codes_BC: Tensor, fields_D: Tensor, couplings_DD: Tensor, dtype: torch.dtype
) -> tuple[float, Tensor, Tensor]:
    """Mean negative log pseudo-likelihood of rows, and its gradients to fields and couplings.

    The couplings' is that of a symmetric matrix without blocks on the diagonal, so that what is
    stepped along it stays one.
    """
    num_columns = codes_BC.shape[1]
    x_BD = one_hot(codes_BC).to(dtype)
    logits_BCA = (x_BD @ couplings_DD.to(dtype)).float() + fields_D
    log_p_BCA = logits_BCA.view(len(codes_BC), num_columns, GAP_CODE).log_softmax(-1)
    x_BCA = x_BD.view_as(log_p_BCA)
    loss = -float((log_p_BCA * x_BCA).sum()) / len(codes_BC)
    has_letter_BC1 = x_BCA.sum(-1, keepdim=True)
    error_BD = ((log_p_BCA.exp() - x_BCA) * has_letter_BC1).flatten(1) / len(codes_BC)
    one_way_DD = error_BD.to(dtype).T @ x_BD
    gradient_DD = one_way_DD.float()
    gradient_DD += one_way_DD.T if dtype == torch.bfloat16 else one_way_DD.T.clone()
    clear_diagonal(gradient_DD)
    return loss, error_BD.sum(0), gradient_DD


def clear_diagonal(matrix_DD: Tensor) -> None:
    """Set each column's block with itself to zero, in place."""
    columns = len(matrix_DD) // GAP_CODE
    blocks = matrix_DD.view(columns, GAP_CODE, columns, GAP_CODE)
    index = torch.arange(columns)
    blocks[index, :, index, :] = 0


def one_hot(codes_BC: Tensor) -> Tensor:
    """Rows as zeros and ones (B, D), zeros for gaps."""
    wide = F.one_hot(codes_BC, GAP_CODE + 1)[..., :GAP_CODE]
    return wide.flatten(1).float()


def start_fields(codes_RC: Codes, weights_R: Floats) -> Tensor:
    """Log frequencies (D,) around zero in each column: the answer without couplings, nearly."""
    counts_CA = letter_counts(codes_RC, weights_R) + 1 / GAP_CODE
    log_CA = np.log(counts_CA)
    centred = log_CA - log_CA.mean(axis=1, keepdims=True)
    return torch.from_numpy(centred.astype(np.float32)).flatten()


def letter_counts(codes_RC: Codes, weights_R: Floats) -> Floats:
    """Weighted counts of each letter in each column (C, A), gaps left out."""
    counts = np.zeros((codes_RC.shape[1], GAP_CODE))
    for letter in range(GAP_CODE):
        counts[:, letter] = weights_R @ (codes_RC == letter)
    return counts
