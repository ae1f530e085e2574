"""The fast form of StripedHyena's layers beside the plain one, in pieces and in any company."""

import copy

import pytest
import torch

from lexome.architectures.striped_hyena import StripedHyena, StripedHyenaConfig
from lexome.batches.packing import pack
from lexome.batches.padding import pad
from lexome.errors import InputError
from lexome.layers import fast_striped, kernels


def make(attention=(), **more):
    torch.manual_seed(0)
    config = StripedHyenaConfig(
        num_layers=3, width=32, num_heads=4, inner_width=48, attention_layers=attention, **more
    )
    network = StripedHyena(config)
    network.initialize(std=0.3)
    for parameter in network.parameters():
        if parameter.dim() == 1:
            torch.nn.init.normal_(parameter, mean=0.5, std=0.2)
    return network.eval().requires_grad_(False)


@pytest.fixture(params=[(), (1,)], ids=["no attention", "one attention layer"])
def both(request):
    plain = make(request.param)
    return plain, kernels.accelerate(copy.deepcopy(plain))


def ids_of(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(65, 90, (count,), generator=generator)


def assert_close(a, b):
    assert a.shape == b.shape
    assert float((a - b).abs().max() / b.abs().max()) < 2e-5


@pytest.mark.parametrize("piece", [7, 64, 1024])
def test_pieces_of_any_size_give_what_the_plain_layers_give(both, piece, monkeypatch):
    monkeypatch.setattr(fast_striped, "PIECE", piece)
    plain, fast = both
    rows = [ids_of(n, n).tolist() for n in (1, 3, 5, 200, 2, 64, 700)]
    for batch in (pack(rows), pad(rows, 1), pack(rows[3:4]), pack(rows[-1:])):
        real = batch.layout.real_N
        assert_close(fast(*batch)[real], plain(*batch)[real])
        a, b = fast.trace(*batch), plain.trace(*batch)
        for x, y in zip(a.layers, b.layers, strict=True):
            assert_close(x[real], y[real])
        assert_close(fast.logits(a.hidden_ND), plain.logits(b.hidden_ND))


def test_states_are_those_of_the_plain_layers(both, monkeypatch):
    monkeypatch.setattr(fast_striped, "PIECE", 64)
    ids_T = ids_of(200)
    states = [network.start(1, 300) for network in both]
    for part in torch.split(ids_T, [1, 130, 1, 68]):
        hidden = [n.extend(part[None], s) for n, s in zip(both, states, strict=True)]
        assert_close(hidden[1], hidden[0])
    for a, b in zip(states[0].layers, states[1].layers, strict=True):
        for name in ("fir", "iir"):
            if name in a:
                # The fast form has its channels in thirds.
                assert torch.allclose(a[name].abs().sum(), b[name].abs().sum(), rtol=1e-4)


def test_several_rows_are_prefilled_at_once(both):
    for network in both:
        rows_BT = torch.stack([ids_of(40, 1), ids_of(40, 2)])
        state = network.start(2, 64)
        together = network.extend(rows_BT, state)
        for row, ids_T in enumerate(rows_BT):
            assert_close(together[row], network(*pack([ids_T.tolist()])))


def test_bits_of_a_row_are_the_same_in_any_company():
    fast = kernels.accelerate(make((1,)))
    found = []
    for rows in (1, 2, 3, 5, 9, 33, 70):
        state = fast.start(rows, 32)
        for row in range(rows):
            single = fast.start(1, 32)
            fast.extend(ids_of(20 if row == 0 else 5 + row % 20, row)[None], single)
            state.put(row, single)
        tokens = torch.full((rows, 1), 70)
        tokens[0] = 65
        found.append(torch.cat([fast.extend(tokens, state)[0] for _ in range(3)]))
        found[-1] = torch.cat([found[-1], fast.logits(found[-1]).mean(-1, keepdim=True)], -1)
    assert all(torch.equal(found[0], other) for other in found[1:])


def test_a_model_from_nothing_learns_and_its_poles_stay_inside():
    torch.manual_seed(0)
    network = StripedHyena(
        StripedHyenaConfig(
            num_layers=2, width=32, num_heads=4, inner_width=48, constrained_poles=True
        )
    )
    network.initialize()
    ids_T = torch.tensor(list(b"ACGTTGCA") * 16)
    tokens_T, layout = pack([ids_T.tolist()])
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    losses = []
    for _ in range(30):
        logits_TV = network.logits(network(tokens_T, layout))
        loss = torch.nn.functional.cross_entropy(logits_TV[:-1], tokens_T[1:])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 * losses[0]
    for block in network.blocks:
        assert block.mixer.long_filter.find_poles().abs().max() < 1
        assert all(p.grad is not None and p.grad.isfinite().all() for p in block.parameters())


def test_maps_are_refused_where_nothing_attends():
    with pytest.raises(InputError, match="convolves"):
        make().trace(*pack([[65, 66]]), with_maps=True)
    maps = make((1,)).trace(*pack([[65, 66], [67]]), with_maps=True).maps
    assert [m.shape for m in maps[0]] == [(4, 2, 2), (4, 1, 1)]
    assert maps[0][0][:, 0, 1].abs().max() == 0
