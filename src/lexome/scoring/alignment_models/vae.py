"""The autoencoder's rule: how much the bound on a sequence's log probability changes."""

# Letters: N mutants, B of a block, C columns, A letters (20), D = C * A, Z latents, K draws.
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from lexome.architectures.family_vae import (
    NUM_LETTERS,
    FamilyVae,
    FamilyVaeConfig,
    gaussian_divergence,
    importance_bound,
    log_normal,
)
from lexome.scoring.alignment_models.family import FamilyModel
from lexome.scoring.alignment_models.placing import Changes, query_codes, scorer_of
from lexome.scoring.mutants.scorer import FloatArray, MutantScorer
from lexome.seeds import derive_seed, keep_randomness

DEFINITION = (
    "ELBO(mutant) - ELBO(wild type) of a variational autoencoder of the family, averaged over "
    "draws of decoder weights and latents that all sequences share; with more than one draw of "
    "the latents a sample, the importance-weighted bound instead. Natural logarithms; higher: more "
    "likely in the family. Source: Riesselman et al. 2018 (DeepSequence), Frazer et al. 2021 "
    "(EVE), Burda et al. 2016."
)
BLOCK = 1024  # sequences at a time: bounds memory


def make_vae_scorer(model: FamilyModel) -> MutantScorer:
    """The rule `vae` from a fitted family model; samples and draws as its settings say."""
    return scorer_of(model, DEFINITION, vae_score(model))


def vae_score(model: FamilyModel) -> Callable[[list[Changes]], FloatArray]:
    """What scores changed columns."""
    settings = model.identity["settings"]
    samples, draws, seed = (int(settings[name]) for name in ("samples", "importance", "seed"))
    network = build_network(model.identity["network"], model.tensors)
    query_C = query_codes(model)

    def score(mutants: list[Changes]) -> FloatArray:
        codes_NC = np.repeat(query_C[None], len(mutants) + 1, axis=0)
        for row, changes in zip(codes_NC[1:], mutants, strict=True):
            for c, a in changes:
                row[c] = a
        bounds_N = family_bounds(network, codes_NC, samples, draws, seed)
        difference: FloatArray = bounds_N[1:] - bounds_N[0]
        return difference

    return score


def build_network(sizes: dict[str, object], tensors: dict[str, Tensor]) -> FamilyVae:
    """The network of a saved family model."""
    tuples = {k: tuple(v) if isinstance(v, list) else v for k, v in sizes.items()}
    with keep_randomness():
        network = FamilyVae(FamilyVaeConfig(**tuples))  # type: ignore[arg-type]
    network.load_state_dict(tensors)
    return network.eval()


def family_bounds(
    network: FamilyVae,
    codes_NC: NDArray[np.int64],
    samples: int,
    draws: int = 1,
    seed: int = 0,
    block: int = BLOCK,
) -> FloatArray:
    """Lower bounds of log p(x) in nats (N,), each the mean over `samples`.

    A sample is one set of decoder weights and one set of noise, the same for every sequence, so
    that differences between sequences have little noise. At `draws` = 1 the divergence of the
    latents is exact and the bound is the ELBO; with more it is the importance-weighted one. A
    sequence's bound does not depend on its company.
    """
    made = np.empty(len(codes_NC))
    for start in range(0, len(codes_NC), block):
        codes = torch.from_numpy(codes_NC[start : start + block].astype(np.int64))
        made[start : start + block] = _bounds(network, codes, samples, draws, seed).numpy()
    return made


@torch.inference_mode()
def _bounds(network: FamilyVae, codes_BC: Tensor, samples: int, draws: int, seed: int) -> Tensor:
    x_BCA = F.one_hot(codes_BC, NUM_LETTERS + 1)[..., :NUM_LETTERS].float()
    mean_BZ, log_variance_BZ = network.encode(x_BCA.flatten(1))
    divergence_B = gaussian_divergence(mean_BZ, log_variance_BZ)
    generator = torch.Generator().manual_seed(derive_seed("family-vae-score", seed))
    total_B = torch.zeros(len(codes_BC), dtype=torch.float64)
    for _ in range(samples):
        weights = network.draw_weights(generator)
        ratios = []
        for _ in range(draws):
            noise_Z = torch.empty(mean_BZ.shape[1]).normal_(generator=generator)
            z_BZ = mean_BZ + (0.5 * log_variance_BZ).exp() * noise_Z
            log_p_B = (network.decode_by(z_BZ, weights) * x_BCA).sum((1, 2))
            if draws == 1:
                total_B += log_p_B - divergence_B
                continue
            prior_B = log_normal(z_BZ, torch.zeros_like(z_BZ), torch.zeros_like(z_BZ))
            ratios.append(log_p_B + prior_B - log_normal(z_BZ, mean_BZ, log_variance_BZ))
        if draws > 1:
            total_B += importance_bound(torch.stack(ratios).double())
    return total_B / samples


def bounds_plain(
    network: FamilyVae, codes_NC: Sequence[Sequence[int]], samples: int, seed: int = 0
) -> list[float]:
    """The slow twin of `family_bounds` at one draw: sequence by sequence, term by term."""
    made = []
    for codes in codes_NC:
        x_D = torch.zeros(len(codes), NUM_LETTERS)
        for c, code in enumerate(codes):
            if code < NUM_LETTERS:
                x_D[c, code] = 1
        generator = torch.Generator().manual_seed(derive_seed("family-vae-score", seed))
        with torch.inference_mode():
            mean, log_variance = (v[0] for v in network.encode(x_D.flatten()[None]))
            total = 0.0
            for _ in range(samples):
                x = [layer.draw(generator) for layer in network.decoder]  # type: ignore[operator]
                z = mean + (log_variance / 2).exp() * torch.empty(len(mean)).normal_(
                    generator=generator
                )
                h = z
                for i, (layer, matrix) in enumerate(zip(network.decoder, x, strict=True)):
                    h = matrix @ h + layer.bias
                    h = h.clamp(min=0) if i + 1 < len(x) else h
                log_p = h.view(len(codes), NUM_LETTERS).log_softmax(1)
                total += sum(float(log_p[c, a]) for c, a in enumerate(codes) if a < NUM_LETTERS)
                for m, v in zip(mean.tolist(), log_variance.tolist(), strict=True):
                    total -= 0.5 * (m * m + np.exp(v) - 1 - v)
        made.append(total / samples)
    return made
