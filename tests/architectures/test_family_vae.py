"""The autoencoder by the book: bounds below the truth, tighter with more draws; exact divergences."""

import numpy as np
import pytest
import torch
from torch.distributions import Normal, kl_divergence

from lexome.architectures.family_vae import (
    FamilyVae,
    FamilyVaeConfig,
    VariationalLinear,
    gaussian_divergence,
    log_normal,
)
from lexome.scoring.alignment_models.vae import bounds_plain, family_bounds


@pytest.fixture
def exact():
    """One latent, three columns, fixed decoder weights: log p(x) is an integral over a line."""
    torch.manual_seed(0)
    config = FamilyVaeConfig(columns=3, encoder=(), latent=1, decoder=(), prior_sd=1.0)
    network = FamilyVae(config)
    with torch.no_grad():
        network.decoder[0].mean.normal_(0, 1.5)
        network.decoder[0].log_sd.fill_(-30)
        network.to_mean.weight.normal_(0, 0.3)
        network.to_log_variance.bias.fill_(-0.3)
    return network.eval()


def integral(network, codes):
    z = torch.linspace(-9, 9, 20001)[:, None]
    with torch.inference_mode():
        log_p = network.decode(z, None)
        joint = sum(log_p[:, c, a] for c, a in enumerate(codes)) + Normal(0, 1).log_prob(z[:, 0])
    return float(joint.logsumexp(0) + np.log(18 / 20000))


def test_bounds_lie_below_the_truth_and_rise_to_it_with_draws(exact):
    codes = np.array([[0, 5, 7], [3, 3, 3], [19, 0, 1]])
    truth = np.array([integral(exact, row) for row in codes])
    elbo = family_bounds(exact, codes, samples=2000)
    ten = family_bounds(exact, codes, samples=2000, draws=10)
    many = family_bounds(exact, codes, samples=20, draws=3000)
    assert (elbo < truth - 0.01).all()
    assert (elbo < ten).all()
    assert (ten < truth + 0.01).all()
    np.testing.assert_allclose(many, truth, atol=0.12)
    assert (np.abs(many - truth) < np.abs(elbo - truth) / 2).all()


def test_where_the_encoder_is_the_posterior_the_bound_is_the_truth(exact):
    """A decoder that does not hear z: p(x) is a product, and q = p makes the bound equal to it."""
    with torch.no_grad():
        exact.decoder[0].mean.zero_()
        exact.decoder[0].bias.normal_()
        for layer in (exact.to_mean, exact.to_log_variance):
            layer.weight.zero_()
            layer.bias.zero_()
    codes = np.array([[0, 5, 7]])
    wanted = integral(exact, codes[0])
    for draws in (1, 7):
        assert family_bounds(exact, codes, 3, draws)[0] == pytest.approx(wanted, abs=1e-4)


def test_divergences_are_those_of_torch():
    mean, log_variance = torch.randn(4, 3), torch.randn(4, 3)
    posterior = Normal(mean, (0.5 * log_variance).exp())
    wanted = kl_divergence(posterior, Normal(0.0, 1.0)).sum(1)
    torch.testing.assert_close(gaussian_divergence(mean, log_variance), wanted)
    z = torch.randn(4, 3)
    torch.testing.assert_close(log_normal(z, mean, log_variance), posterior.log_prob(z).sum(1))
    layer = VariationalLinear(5, 7, prior_sd=0.1, start_sd=0.03)
    weights = Normal(layer.mean, layer.log_sd.exp())
    wanted = kl_divergence(weights, Normal(0.0, 0.1)).sum()
    torch.testing.assert_close(layer.divergence(), wanted)


def test_noise_on_outputs_is_distributed_as_noise_on_weights():
    layer = VariationalLinear(6, 2, prior_sd=1.0, start_sd=0.5)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(6, generator=generator)
    with torch.inference_mode():
        rows = x.repeat(20000, 1)
        noise = torch.empty(20000, 2).normal_(generator=generator)
        outputs = layer(rows, noise)
        drawn = torch.stack([layer.draw(generator) @ x for _ in range(20000)])
    torch.testing.assert_close(outputs.mean(0), drawn.mean(0), atol=0.05, rtol=0.02)
    torch.testing.assert_close(outputs.std(0), drawn.std(0), atol=0, rtol=0.03)


def test_the_fast_bound_is_the_slow_one_in_any_company():
    torch.manual_seed(1)
    network = FamilyVae(FamilyVaeConfig(columns=4, encoder=(9,), latent=3, decoder=(5, 6))).eval()
    codes = np.random.default_rng(0).integers(0, 21, (7, 4))
    fast = family_bounds(network, codes, samples=3)
    np.testing.assert_allclose(fast, bounds_plain(network, codes.tolist(), 3), rtol=1e-5)
    np.testing.assert_allclose(fast, family_bounds(network, codes, 3, block=2), rtol=1e-6)
