"""A variational autoencoder of one protein family, with a distribution over decoder weights."""

# Letters: B rows of a batch, C columns, A letters (20), Z latent variables, K samples.
import math
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

NUM_LETTERS = 20
LARGEST_LOG_VARIANCE = 8.0


@dataclass(frozen=True, kw_only=True)
class FamilyVaeConfig:
    """Sizes. Decoder, latents and `start_sd` are DeepSequence's; the prior is narrower, the
    encoder smaller, and letters are hidden from it."""

    columns: int
    encoder: tuple[int, ...] = (500,)
    latent: int = 30
    decoder: tuple[int, ...] = (100, 500)
    prior_sd: float = 0.1  # of every decoder weight; 1 lets the latents collapse in small families
    start_sd: float = math.exp(-5)  # of their posterior, when the fit begins
    input_dropout: float = 0.3  # share of a row's letters that the encoder does not see


class Elbo(NamedTuple):
    """The parts of the bound, per row; `reconstruction - divergence` is the ELBO given weights."""

    reconstruction_B: Tensor  # log p(x | z, weights), a sum over the columns that have a letter
    divergence_B: Tensor  # KL(q(z | x) || N(0, 1))


class VariationalLinear(nn.Module):
    """A linear layer whose weights have a normal posterior, each by itself, and a normal prior.

    `local` draws outputs, not weights (the local reparametrisation of Kingma et al. 2015): each
    row of a batch then feels weights of its own, which lowers the gradient's variance and is the
    same in distribution. `draw` gives one set of weights for many rows.
    """

    def __init__(self, num_in: int, num_out: int, prior_sd: float, start_sd: float) -> None:
        super().__init__()
        self.prior_sd = prior_sd
        self.mean = nn.Parameter(torch.empty(num_out, num_in))
        self.log_sd = nn.Parameter(torch.full((num_out, num_in), math.log(start_sd)))
        self.bias = nn.Parameter(torch.zeros(num_out))
        nn.init.normal_(self.mean, std=min(prior_sd, (2 / num_in) ** 0.5))

    def forward(self, x: Tensor, noise: Tensor | None = None) -> Tensor:
        """Outputs by the mean weights, or with `noise` (of their shape) by drawn ones."""
        out = F.linear(x, self.mean, self.bias)
        if noise is None:
            return out
        variance = F.linear(x.square(), (2 * self.log_sd).exp())
        drawn: Tensor = out + (variance + 1e-12).sqrt() * noise
        return drawn

    def draw(self, generator: torch.Generator) -> Tensor:
        """One set of weights (num_out, num_in)."""
        noise = torch.empty_like(self.mean).normal_(generator=generator)
        weights: Tensor = self.mean + self.log_sd.exp() * noise
        return weights

    def divergence(self) -> Tensor:
        """KL(posterior || prior), summed over the weights. Biases are plain parameters."""
        ratio = (2 * self.log_sd).exp() + self.mean.square()
        log_prior = torch.log(torch.tensor(self.prior_sd))
        each = log_prior - self.log_sd + ratio / (2 * self.prior_sd**2) - 0.5
        return each.sum()


class FamilyVae(nn.Module):
    """p(x) = integral of p(z) p(weights) prod_c p(x_c | z, weights), bounded from below.

    Rows come one-hot (B, C * A), zeros where there is a gap: gaps are not modelled. Source:
    Kingma and Welling 2014; Riesselman et al. 2018 (DeepSequence); Frazer et al. 2021 (EVE).
    """

    def __init__(self, config: FamilyVaeConfig) -> None:
        super().__init__()
        self.config = config
        width = config.columns * NUM_LETTERS
        sizes = [width, *config.encoder]
        self.encoder = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        self.to_mean = nn.Linear(sizes[-1], config.latent)
        self.to_log_variance = nn.Linear(sizes[-1], config.latent)
        sizes = [config.latent, *config.decoder, width]
        self.decoder = nn.ModuleList(
            VariationalLinear(a, b, config.prior_sd, config.start_sd) for a, b in pairwise(sizes)
        )

    def initialize(self, generator: torch.Generator, frequencies_CA: Tensor) -> None:
        """Draw the weights; the last bias begins at the family's own frequencies."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                bound = (1 / module.in_features) ** 0.5
                nn.init.uniform_(module.weight, -bound, bound, generator=generator)
                nn.init.zeros_(module.bias)
            elif isinstance(module, VariationalLinear):
                deviation = min(module.prior_sd, (2 / module.mean.shape[1]) ** 0.5)
                nn.init.normal_(module.mean, std=deviation, generator=generator)
        with torch.no_grad():
            self.to_log_variance.bias.fill_(-2.0)
            last = self.decoder[-1]
            assert isinstance(last, VariationalLinear)
            last.bias.copy_(frequencies_CA.log().flatten())

    def encode(self, x_BD: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance (B, Z) of q(z | x)."""
        for layer in self.encoder:
            x_BD = F.relu(layer(x_BD))
        log_variance_BZ = self.to_log_variance(x_BD).float().clamp(-12.0, LARGEST_LOG_VARIANCE)
        return self.to_mean(x_BD).float(), log_variance_BZ

    def decode(self, z_BZ: Tensor, generator: torch.Generator | None) -> Tensor:
        """Log p of each letter (B, C, A): by drawn weights, or by their means where None."""
        x = z_BZ
        for i, layer in enumerate(self.decoder):
            assert isinstance(layer, VariationalLinear)
            noise = None
            if generator is not None:
                shape = (*x.shape[:-1], layer.mean.shape[0])
                noise = torch.empty(shape, device=x.device).normal_(generator=generator)
            x = layer(x, noise)
            x = F.relu(x) if i + 1 < len(self.decoder) else x
        return self.letters(x)

    def decode_by(self, z_BZ: Tensor, weights: list[Tensor]) -> Tensor:
        """The same by one set of weights, a matrix a layer (`draw_weights`)."""
        x = z_BZ
        for i, (layer, matrix) in enumerate(zip(self.decoder, weights, strict=True)):
            assert isinstance(layer, VariationalLinear)
            x = F.linear(x, matrix, layer.bias)
            x = F.relu(x) if i + 1 < len(weights) else x
        return self.letters(x)

    def draw_weights(self, generator: torch.Generator) -> list[Tensor]:
        """One set of decoder weights from their posterior."""
        layers = [layer for layer in self.decoder if isinstance(layer, VariationalLinear)]
        return [layer.draw(generator) for layer in layers]

    def letters(self, x_BD: Tensor) -> Tensor:
        """Log p (B, C, A) from the decoder's last outputs."""
        x_BCA = x_BD.float().view(*x_BD.shape[:-1], self.config.columns, NUM_LETTERS)
        return x_BCA.log_softmax(-1)

    def weights_divergence(self) -> Tensor:
        """KL of all decoder weights to their prior."""
        layers = [layer for layer in self.decoder if isinstance(layer, VariationalLinear)]
        return torch.stack([layer.divergence() for layer in layers]).sum()

    def elbo(self, x_BD: Tensor, seen_BD: Tensor, generator: torch.Generator) -> Elbo:
        """The bound of rows `x_BD` of which the encoder sees `seen_BD`, one sample each."""
        mean_BZ, log_variance_BZ = self.encode(seen_BD)
        noise_BZ = torch.empty_like(mean_BZ).normal_(generator=generator)
        z_BZ = mean_BZ + (0.5 * log_variance_BZ).exp() * noise_BZ
        log_p_BCA = self.decode(z_BZ, generator)
        reconstruction_B = (log_p_BCA.flatten(1) * x_BD).sum(1)
        return Elbo(reconstruction_B, gaussian_divergence(mean_BZ, log_variance_BZ))


def gaussian_divergence(mean_BZ: Tensor, log_variance_BZ: Tensor) -> Tensor:
    """KL(N(mean, exp(log variance)) || N(0, 1)), summed over the latents (B,)."""
    each = mean_BZ.square() + log_variance_BZ.exp() - 1 - log_variance_BZ
    out: Tensor = 0.5 * each.sum(-1)
    return out


def log_normal(z: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """Log density of a normal with independent parts, summed over the last dimension."""
    each = (
        (z - mean).square() / log_variance.exp()
        + log_variance
        + torch.log(torch.tensor(2 * torch.pi))
    )
    out: Tensor = -0.5 * each.sum(-1)
    return out


def importance_bound(log_ratio_KB: Tensor) -> Tensor:
    """log of the mean of exp(log p(x, z) - log q(z | x)) over K draws of z (B,).

    At K = 1 the ELBO's integrand; in expectation it grows with K up to log p(x). Source: Burda,
    Grosse and Salakhutdinov 2016.
    """
    out: Tensor = log_ratio_KB.logsumexp(0) - torch.log(torch.tensor(float(len(log_ratio_KB))))
    return out
