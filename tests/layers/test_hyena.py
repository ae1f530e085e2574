"""The bricks of Hyena: what one can work out on paper, and each form against its twin."""

import pytest
import torch

from lexome.checkpoints.blank import no_values
from lexome.layers.hyena import ModalMixer
from lexome.layers.implicit_filter import ImplicitFilter
from lexome.layers.long_convolution import convolve, fft_size
from lexome.layers.modal_filter import ModalFilter, powers
from lexome.layers.precision import cast
from lexome.layers.rms_norm import RMSNorm
from lexome.layers.short_filter import ShortFilter

CHANNELS, STATES = 6, 4


@pytest.fixture(params=[False, True], ids=["stored poles", "constrained poles"])
def modal(request):
    torch.manual_seed(1)
    made = ModalFilter(CHANNELS, STATES, constrained=request.param)
    torch.nn.init.normal_(made.residues)
    return made.requires_grad_(False)


def direct(modal, u_DBT):
    """The sum over all pairs of tokens, in float64 throughout."""
    poles = modal.find_poles().to(torch.complex128)
    residues = torch.view_as_complex(modal.residues).to(torch.complex128)
    tokens = u_DBT.shape[-1]
    steps = torch.arange(tokens, dtype=torch.float64)
    magnitude, angle = poles.abs()[..., None] ** steps, poles.angle()[..., None] * steps
    h_DT = (residues[..., None] * torch.polar(magnitude, angle)).real.sum(1)
    out = torch.zeros(u_DBT.shape, dtype=torch.float64)
    for t in range(tokens):
        out[..., t] = (u_DBT[..., : t + 1].double() * h_DT[:, None, : t + 1].flip(-1)).sum(-1)
    return h_DT, out


@pytest.mark.parametrize("tokens", [1, 2, 63, 64, 65, 200])
def test_scan_fft_steps_and_the_direct_sum_agree(modal, tokens):
    u_DBT = torch.randn(CHANNELS, 3, tokens)
    h_DT, expected = direct(modal, u_DBT)
    close = {"atol": 2e-5, "rtol": 1e-5}
    torch.testing.assert_close(modal.response(tokens).double(), h_DT, **close)
    scanned, state_BDS = modal.scan(u_DBT)
    torch.testing.assert_close(scanned.double(), expected, **close)
    torch.testing.assert_close(modal.convolve(u_DBT).double(), expected, **close)
    stepped, state = [], torch.zeros(3, CHANNELS, STATES, dtype=torch.complex64)
    for t in range(tokens):
        out_BD, state = modal.step(u_DBT[..., t].T, state)
        stepped.append(out_BD.T)
    torch.testing.assert_close(torch.stack(stepped, -1).double(), expected, **close)
    torch.testing.assert_close(state_BDS, state, **close)


def test_the_scan_goes_on_from_a_state(modal):
    u_DBT = torch.randn(CHANNELS, 2, 300)
    whole, end = modal.scan(u_DBT)
    for cut in (1, 64, 131, 299):
        first, state = modal.scan(u_DBT[..., :cut])
        second, state = modal.scan(u_DBT[..., cut:], state)
        joined = torch.cat([first, second], -1)
        torch.testing.assert_close(joined, whole, atol=2e-5, rtol=1e-5)
        torch.testing.assert_close(state, end, atol=2e-5, rtol=1e-5)


def test_a_wave_on_paper():
    """Pole i / 2 and residue 1: h = Re (i/2)^t = 1, 0, -1/4, 0, 1/16."""
    modal = ModalFilter(1, 1).requires_grad_(False)
    modal.poles.copy_(torch.tensor([[[0.0, 0.5]]]))
    modal.residues.copy_(torch.tensor([[[1.0, 0.0]]]))
    expected = torch.tensor([[1.0, 0.0, -0.25, 0.0, 0.0625]])
    torch.testing.assert_close(modal.response(5), expected)
    impulse = torch.tensor([[[1.0, 0.0, 0.0, 0.0, 0.0]]])
    torch.testing.assert_close(modal.scan(impulse)[0][0], expected)


def test_a_pole_of_zero_is_no_special_case():
    base = torch.zeros(1, 1, dtype=torch.complex64)
    assert powers(base, 4).real[:, 0, 0].tolist() == [1, 0, 0, 0]


def test_constrained_poles_lie_inside_of_the_circle_wherever_training_goes():
    modal = ModalFilter(2, 3, constrained=True).requires_grad_(False)
    torch.nn.init.normal_(modal.decay, std=30)
    torch.nn.init.normal_(modal.angle, std=30)
    assert modal.find_poles().abs().max() <= 1


def test_gradients_of_the_scan_are_those_of_the_fft():
    torch.manual_seed(0)
    modal = ModalFilter(CHANNELS, STATES, constrained=True)
    u_DBT, grads = torch.randn(CHANNELS, 2, 150), []
    for form in (lambda u: modal.scan(u)[0], modal.convolve):
        modal.zero_grad()
        form(u_DBT).square().sum().backward()
        grads.append([p.grad.clone() for p in modal.parameters()])
    for a, b in zip(*grads, strict=True):
        torch.testing.assert_close(a, b, atol=1e-3, rtol=1e-3)


def test_convolution_does_not_wrap_around_and_groups_change_nothing(monkeypatch):
    u, h = torch.randn(7, 50), torch.randn(7, 50)
    expected = torch.stack(
        [(u[:, : t + 1] * h[:, : t + 1].flip(-1)).sum(-1) for t in range(50)], -1
    )
    torch.testing.assert_close(convolve(u, h), expected, atol=1e-5, rtol=1e-5)
    monkeypatch.setattr("lexome.layers.long_convolution.MOST_NUMBERS", 200)
    torch.testing.assert_close(convolve(u, h), expected, atol=1e-5, rtol=1e-5)


def test_sizes_of_transforms_are_small_products():
    for least in range(1, 3000):
        size = fft_size(least)
        assert size >= least
        assert size % 2 == 0
        rest = size
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        assert rest == 1


def test_the_short_filter_on_paper():
    brick = ShortFilter(1).requires_grad_(False)
    brick.weight.copy_(torch.tensor([[[1.0, 10.0, 100.0]]]))
    brick.bias.copy_(torch.tensor([0.5]))
    out, past = brick(torch.tensor([[[1.0], [2.0], [3.0]]]))
    assert out.flatten().tolist() == [100.5, 210.5, 321.5]
    assert past.flatten().tolist() == [2, 3]
    again, past = brick(torch.tensor([[[4.0]]]), past)
    assert again.item() == 432.5
    assert past.flatten().tolist() == [3, 4]


def test_one_token_leaves_a_zero_before_it():
    brick = ShortFilter(2)
    _, past = brick(torch.ones(1, 1, 2))
    assert past.tolist() == [[[0, 1], [0, 1]]]


def test_eps_is_added_to_the_root():
    norm = RMSNorm(2, eps=1.0)
    out = norm(torch.tensor([3.0, 3.0]))
    torch.testing.assert_close(out, torch.tensor([0.75, 0.75]))  # under the root: 0.949


def test_channels_are_split_group_by_group():
    mixer = ModalMixer(4, 1, num_groups=2)
    after, before, value = mixer.split(torch.arange(12.0)[None, None])
    assert after.flatten().tolist() == [0, 1, 6, 7]
    assert before.flatten().tolist() == [2, 3, 8, 9]
    assert value.flatten().tolist() == [4, 5, 10, 11]
    plain = ModalMixer(4, 1).split(torch.arange(12.0)[None, None])
    assert [part.flatten()[0].item() for part in plain] == [0, 4, 8]


def test_a_cast_leaves_what_a_brick_names_in_fp32():
    mixer = ModalMixer(4, 2)
    poles = mixer.long_filter.poles.detach().clone()
    cast(mixer, "cpu", torch.bfloat16)
    assert mixer.skip.dtype == mixer.project.weight.dtype == torch.bfloat16
    assert torch.equal(mixer.long_filter.poles, poles)
    assert mixer.long_filter.residues.dtype == torch.float32


def test_a_filter_without_values_is_made_after_transformers_has_loaded_a_model(monkeypatch):
    """It replaces torch.linspace by one for the CPU, and torch's list of makers remembers that."""
    from torch.utils._device import _device_constructors

    plain = torch.linspace
    _device_constructors.cache_clear()
    monkeypatch.setattr(torch, "linspace", lambda *args, **how: plain(*args, **how))
    with no_values():
        torch.zeros(1)
    monkeypatch.undo()
    try:
        with no_values():
            made = ImplicitFilter(8, 16, 4)
    finally:
        _device_constructors.cache_clear()
    assert {value.device.type for value in made.state_dict().values()} == {"meta"}
