"""Fits the variational autoencoder of a family by stochastic ascent of its ELBO."""

# Letters: R rows, B rows of a batch, C columns, A letters (20), D = C * A.
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lexome.architectures.family_vae import FamilyVae, FamilyVaeConfig
from lexome.progress import Progress
from lexome.seeds import derive_seed, keep_randomness
from lexome.sequence.family_rows import GAP_CODE, Codes, Floats
from lexome.training.alignment_models.pace import Watch, draw_rows, pace, product_dtype
from lexome.training.alignment_models.potts import letter_counts, one_hot
from lexome.training.alignment_models.settings import FamilySettings

STEPS, BATCH, LEARNING_RATE = 3000, 256, 1e-3
WARM_UP = 500  # steps over which the divergences come in (Sonderby et al. 2016)


class VaeFit(NamedTuple):
    """The trained network, and how well it did on its last batches."""

    network: FamilyVae
    facts: dict[str, float]


def fit_vae(
    codes_RC: Codes,
    weights_R: Floats,
    settings: FamilySettings,
    progress: Progress,
    watch: Watch | None = None,
    config: FamilyVaeConfig | None = None,
) -> VaeFit:
    """The network that makes the ELBO of the family large.

    Maximises the mean over rows (drawn by their weights) of log p(x | z, weights) - KL(q(z | x)),
    less KL(weights) / Neff: the effective number of sequences is how much data there are to move
    the weights from their prior. Encoders see rows with a share of the letters left out. Source:
    Riesselman et al. 2018, equations 3-5.
    """
    config = config or vae_config(codes_RC)
    generator = torch.Generator().manual_seed(derive_seed("family-vae", settings.seed))
    with keep_randomness():
        network = FamilyVae(config)
    counts_CA = torch.from_numpy(letter_counts(codes_RC, weights_R).astype(np.float32)) + 0.5
    network.initialize(generator, counts_CA / counts_CA.sum(1, keepdim=True))
    codes = torch.from_numpy(codes_RC.astype(np.int64))
    weights, effective = torch.from_numpy(weights_R), float(weights_R.sum())
    dtype = product_dtype(settings)
    optimizer = torch.optim.Adam(network.parameters(), fused=True)
    step, bound = 0, float("nan")
    for rate in pace(settings, STEPS, progress, LEARNING_RATE, warmup=50):
        for group in optimizer.param_groups:
            group["lr"] = rate
        x_BD = one_hot(codes[draw_rows(weights, BATCH, generator)])
        seen_BD = hide(x_BD, config.input_dropout, generator)
        share = min(1.0, (step + 1) / WARM_UP)
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
            parts = network.elbo(x_BD, seen_BD, generator)
        of_weights = network.weights_divergence() / effective
        divergence = parts.divergence_B.mean() + of_weights
        loss = share * divergence - parts.reconstruction_B.mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        step += 1
        bound = float((parts.reconstruction_B.mean() - divergence).detach())
        progress.note(f"ELBO {bound / codes.shape[1]:.3f} nats a residue")
        if watch is not None:
            watch(step, lambda: {k: v.clone() for k, v in network.state_dict().items()})
    facts = {
        "steps": step,
        "last_elbo": bound,
        "last_latent_divergence": float(parts.divergence_B.detach().mean()),
        "last_weights_divergence": float(of_weights.detach()),
    }
    return VaeFit(network.eval(), facts)


def vae_config(codes_RC: Codes) -> FamilyVaeConfig:
    """The sizes of a family's network."""
    return FamilyVaeConfig(columns=codes_RC.shape[1])


def hide(x_BD: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Rows of which whole letters are left out, each by chance, the others scaled up for them."""
    if share == 0:
        return x_BD
    kept_BC = torch.rand(len(x_BD), x_BD.shape[1] // GAP_CODE, generator=generator) >= share
    return x_BD * kept_BC.repeat_interleave(GAP_CODE, dim=1) / (1 - share)
