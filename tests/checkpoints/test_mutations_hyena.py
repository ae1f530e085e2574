"""Each published detail of Evo-1 and HyenaDNA, turned the wrong way.

A fixture must notice, or the detail is not tested.
"""

import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional as F

from lexome.checkpoints.layouts import load_path
from lexome.layers import hyena, implicit_filter, modal_filter, rms_norm, short_filter
from lexome.layers.feed_forward import FeedForward, GatedFeedForward
from tests.checkpoints.causal import EVO, HYENA, is_off, read_causal


def bricks(network, kind):
    return [module for module in network.modules() if isinstance(module, kind)]


def plain_thirds(network):
    for mixer in bricks(network, hyena.ModalMixer):
        mixer.num_groups = 1


def column_split_attention(network):
    for block in network.blocks:
        if block.attends:
            rows = torch.cat([getattr(block.mixer, n).weight for n in ("query", "key", "value")])
            split = rows.view(block.mixer.num_heads, 3, -1, rows.shape[1]).transpose(0, 1)
            for name, part in zip(("query", "key", "value"), split, strict=True):
                getattr(block.mixer, name).weight.data = part.reshape(-1, rows.shape[1])


def gates_exchanged(network):
    kinds = (hyena.ModalMixer, hyena.ImplicitMixer)
    width = network.config.width
    for mixer in bricks(network, kinds):
        groups = getattr(mixer, "num_groups", 1)
        index = torch.arange(3 * width).view(groups, 3, -1)[:, [1, 0, 2]].flatten()
        for brick in (mixer.project, mixer.short_filter):
            brick.weight.data, brick.bias.data = brick.weight[index], brick.bias[index]


def gate_and_value_of_the_feed_forward_exchanged(network):
    for brick in bricks(network, GatedFeedForward):
        brick.up.weight.data = (
            brick.up.weight.view(2, -1, network.config.width).flip(0).flatten(0, 1)
        )


def stored_frequencies(network):
    network.rotary.inv_freq = network.rotary.inv_freq.bfloat16().float()


def other_base(network):
    network.rotary.inv_freq = network.rotary.inv_freq**1.05


def no_interpolation(network):
    network.rotary.interpolation = 1.0


def interpolation(network):
    network.rotary.interpolation = 16.0


def bf16_poles(network):
    for brick in bricks(network, modal_filter.ModalFilter):
        brick.poles.data = brick.poles.bfloat16().float()


def bf16_residues(network):
    for brick in bricks(network, modal_filter.ModalFilter):
        brick.residues.data = brick.residues.bfloat16().float()


def conjugate_poles(network):
    for brick in bricks(network, modal_filter.ModalFilter):
        brick.poles.data = brick.poles * torch.tensor([1.0, -1.0])


def polar_poles(network):
    for brick in bricks(network, modal_filter.ModalFilter):
        radius, angle = brick.poles.unbind(-1)
        brick.poles.data = torch.view_as_real(torch.polar(radius.abs(), angle))


def no_skip(network):
    for mixer in bricks(network, (hyena.ModalMixer, hyena.ImplicitMixer)):
        mixer.skip.data = torch.zeros_like(mixer.skip)


def no_filter_bias(network):
    for brick in bricks(network, short_filter.ShortFilter):
        brick.bias.data = torch.zeros_like(brick.bias)


def taps_turned_round(network):
    for brick in bricks(network, short_filter.ShortFilter):
        brick.weight.data = brick.weight.flip(-1)


def other_gelu(network):
    for brick in bricks(network, (FeedForward, GatedFeedForward)):
        brick.activation = "gelu_new" if brick.activation == "gelu" else "gelu"


def larger_eps(network):
    for brick in bricks(network, (rms_norm.RMSNorm, torch.nn.LayerNorm)):
        brick.eps = 1e-3


def no_final_norm(network):
    network.final_norm = torch.nn.Identity()


def untied(network):
    network.language_model_head.rows = torch.nn.Parameter(network.embedding.weight.roll(1, 0))


EVO_MUTATIONS = [
    plain_thirds,
    column_split_attention,
    gates_exchanged,
    gate_and_value_of_the_feed_forward_exchanged,
    stored_frequencies,
    other_base,
    bf16_poles,
    bf16_residues,
    conjugate_poles,
    polar_poles,
    no_skip,
    no_filter_bias,
    taps_turned_round,
    other_gelu,
    larger_eps,
    no_final_norm,
    untied,
]


@pytest.mark.parametrize("mutate", [*EVO_MUTATIONS, interpolation])
def test_evo_notices(mutate):
    check(EVO[0], mutate)


@pytest.mark.parametrize("mutate", [*EVO_MUTATIONS, no_interpolation])
def test_evo_131k_notices(mutate):
    check(EVO[1], mutate)


def check(name, mutate):
    fixture = read_causal(name)
    network = load_path(fixture.path).network.requires_grad_(False)
    assert not is_off(network, fixture)
    with torch.no_grad():
        mutate(network)
    assert is_off(network, fixture)


def made_anew(name):
    def mutate(network):
        config, fresh = network.config, None
        for brick in bricks(network, implicit_filter.ImplicitFilter):
            sizes = (config.filter_order, config.filter_inputs, config.num_inner)
            fresh = implicit_filter.ImplicitFilter(config.width, config.context, *sizes)
            getattr(brick, name).data = getattr(fresh, name).data
        assert fresh is not None

    mutate.__name__ = f"{name}_made_anew"
    return mutate


def time_over_the_length(network):
    for brick in bricks(network, implicit_filter.ImplicitFilter):
        brick.t = torch.linspace(0, 1, 50).repeat(20)[: len(brick.t)]


def no_shift(network):
    for brick in bricks(network, implicit_filter.ImplicitFilter):
        brick.SHIFT = 0.0


def value_first(network):
    width = network.config.width
    index = torch.arange(3 * width).view(3, -1)[[2, 1, 0]].flatten()
    for mixer in bricks(network, hyena.ImplicitMixer):
        for brick in (mixer.project, mixer.short_filter):
            brick.weight.data, brick.bias.data = brick.weight[index], brick.bias[index]


HYENA_MUTATIONS = [
    gates_exchanged,
    value_first,
    made_anew("z"),
    made_anew("freq"),
    time_over_the_length,
    no_shift,
    no_skip,
    no_filter_bias,
    taps_turned_round,
    other_gelu,
    larger_eps,
    no_final_norm,
]


@pytest.mark.parametrize("mutate", [*HYENA_MUTATIONS, untied], ids=lambda m: m.__name__)
def test_hyenadna_notices(mutate):
    check(HYENA[0], mutate)


@pytest.mark.parametrize("mutate", HYENA_MUTATIONS, ids=lambda m: m.__name__)
def test_hyenadna_as_trained_notices(mutate):
    check(HYENA[1], mutate)


# ------------------------------------------------ details that stand in the code


def test_eps_under_the_root_would_be_noticed_where_it_matters():
    """The published eps of 1e-6 is too small for a fixture: a brick with a large one tells."""
    norm = rms_norm.RMSNorm(4, eps=0.5)
    x = torch.tensor([1.0, -1.0, 1.0, -1.0])
    torch.testing.assert_close(norm(x), x / 1.5)


@pytest.mark.parametrize("name", EVO)
def test_filtering_behind_the_split_is_noticed(name, monkeypatch):
    """The short filter's channels belong to the projections' order, before they are cut."""

    def mix(self, projected_BTC, fir=None, iir=None):
        order = torch.arange(projected_BTC.shape[-1]).view(self.num_groups, 3, -1)
        index = order.transpose(0, 1).flatten()
        filtered, fir = self.short_filter(projected_BTC[..., index], fir)
        after, before, value = filtered.chunk(3, -1)
        u = before * value
        long, iir = self.long_filter.scan(u.permute(2, 0, 1), iir)
        return (long.permute(1, 2, 0) + self.skip * u) * after, fir, iir

    fixture = read_causal(name)
    network = load_path(fixture.path).network
    monkeypatch.setattr(hyena.ModalMixer, "mix", mix)
    assert is_off(network, fixture)


@pytest.mark.parametrize("name", EVO)
def test_the_frequencies_on_disk_are_not_the_ones_that_are_used(name):
    fixture = read_causal(name)
    stored = [
        tensor
        for key, tensor in load_file(fixture.path / "model.safetensors").items()
        if key.endswith("inv_freq")
    ]
    network = load_path(fixture.path).network
    assert stored[0].dtype == torch.bfloat16
    assert not torch.equal(network.rotary.inv_freq, stored[0].float())


def test_the_filter_of_a_short_sequence_is_the_start_of_the_long_one():
    network = load_path(read_causal(HYENA[0]).path).network
    brick = network.blocks[0].mixer.long_filter
    long = brick(network.config.context)
    torch.testing.assert_close(brick(10), F.pad(long, (0, 0))[:, :10], atol=1e-5, rtol=1e-5)
