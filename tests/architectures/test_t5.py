"""T5: the same answer in any company, read at once or in steps, and rows that are put elsewhere."""

import pytest
import torch

from lexome.architectures.families import build, settings_of
from lexome.architectures.t5 import T5, T5Config
from lexome.batches.packing import pack
from lexome.batches.padding import pad
from lexome.layers.kernels import accelerate
from tests.checkpoints.t5_models import make_t5

SOURCES = [[5, 9, 13, 1], [8, 1], [*range(4, 44), 1]]
TARGET = torch.tensor([[0, 5, 6, 7, 8, 9, 10], [0, 9, 9, 3, 4, 5, 6], [0, 4, 3, 2, 9, 8, 7]])


@pytest.fixture(params=["plain", "fast"])
def network(request):
    made = make_t5()
    return made if request.param == "plain" else accelerate(made)


def start(network, sources, capacity=20, room=None):
    tokens, layout = pack(sources)
    return network.start_from(network.encode(tokens, layout), layout, capacity, room)


@torch.inference_mode()
def test_packed_padded_and_alone_give_the_same(network):
    packed, padded = pack(SOURCES), pad(SOURCES, pad_id=0)
    from_packed = packed.layout.split(network(*packed))
    from_padded = padded.layout.split(network(*padded))
    for ids, a, b in zip(SOURCES, from_packed, from_padded, strict=True):
        alone = network(*pack([ids]))
        limit = 1e-5 * alone.abs().max()
        assert (a - alone).abs().max() <= limit
        assert (b - alone).abs().max() <= limit
    traced = network.trace(*packed, with_maps=True)
    torch.testing.assert_close(traced.hidden_ND, network(*packed), atol=1e-5, rtol=1e-5)
    assert len(traced.layers) == network.config.num_layers + 1
    assert traced.maps[0][1].shape == (3, 2, 2)


@torch.inference_mode()
def test_a_padded_source_starts_the_same_rows(network):
    packed, padded = pack(SOURCES), pad(SOURCES, pad_id=0)
    a = network.start_from(network(*packed), packed.layout, 20)
    b = network.start_from(network(*padded), padded.layout, 20)
    torch.testing.assert_close(
        network.extend(TARGET, a), network.extend(TARGET, b), atol=1e-5, rtol=1e-5
    )


@torch.inference_mode()
@pytest.mark.parametrize("steps", [[1] * 7, [3, 4], [1, 5, 1], [6, 1]])
def test_any_partition_gives_what_the_whole_gives(network, steps):
    whole = network.extend(TARGET, start(network, SOURCES))
    state = start(network, SOURCES)
    parts = [network.extend(part, state) for part in TARGET.split(steps, dim=1)]
    torch.testing.assert_close(torch.cat(parts, dim=1), whole, atol=2e-5, rtol=1e-5)
    assert state.lengths_B.tolist() == [7, 7, 7]


def ask(network, tokens, state):
    """Hidden states and scores side by side."""
    hidden = network.extend(tokens, state)
    return torch.cat([hidden, network.logits(hidden)], dim=-1)


@torch.inference_mode()
def test_rows_do_not_see_each_other_to_the_bit():
    """Other neighbours, more of them, longer ones, in other places: the same fp32 numbers."""
    network = accelerate(make_t5())
    alone = start(network, [SOURCES[0], SOURCES[1]])
    expected = [ask(network, TARGET[:2, i : i + 1], alone)[0] for i in range(6)]
    longest = [*range(4, 120), 1]
    others = network.start(5, 40, source_capacity=200)
    before = start(network, [longest], 40, 200)
    network.extend(torch.randint(2, 100, (1, 17)), before)
    for row in (0, 1, 2, 4):
        others.put(row, before)
    others.put(3, start(network, SOURCES[:1], 20, 200))
    found = []
    for i in range(6):
        step = torch.randint(2, 100, (5, 1))
        step[3] = TARGET[0, i]
        found.append(ask(network, step, others)[3])
    assert torch.equal(torch.stack(found), torch.stack(expected))
    assert others.lengths_B.tolist() == [23, 23, 23, 6, 23]


@torch.inference_mode()
def test_bf16_stays_close_to_fp32():
    plain, half = make_t5(), accelerate(make_t5().bfloat16())
    a, b = plain(*pack(SOURCES)), half(*pack(SOURCES)).float()
    assert torch.nn.functional.cosine_similarity(a, b).min() > 0.99
    states = [start(network, SOURCES) for network in (plain, half)]
    whole = plain.extend(TARGET, states[0])
    steps = torch.cat([half.extend(one, states[1]) for one in TARGET.split([5, 1, 1], dim=1)], 1)
    assert steps.dtype == torch.bfloat16
    assert torch.nn.functional.cosine_similarity(whole, steps.float(), dim=-1).min() > 0.98


@torch.inference_mode()
def test_rows_are_selected_with_their_sources(network):
    state = start(network, SOURCES)
    network.extend(TARGET[:, :4], state)
    chosen = state.select([2, 0, 0])
    later = network.extend(TARGET[[2, 0, 0], 4:], chosen)
    whole = network.extend(TARGET[:, 4:], state)
    torch.testing.assert_close(later, whole[[2, 0, 0]], atol=2e-5, rtol=1e-5)
    assert chosen.layers[0]["source_lengths"].tolist() == [41, 4, 4]
    assert state.caches == ("keys", "values")


@torch.inference_mode()
def test_what_is_no_use_of_a_state_is_refused(network):
    state = start(network, SOURCES, capacity=3)
    with pytest.raises(ValueError, match="room for 3"):
        network.extend(TARGET, state)
    with pytest.raises(ValueError, match="2 x 1 tokens for 3 rows"):
        network.extend(TARGET[:2, :1], state)
    with pytest.raises(ValueError, match="a row without a source"):
        network.extend(TARGET, network.start(3, 20, 20))
    with pytest.raises(ValueError, match="41 tokens has no room in 40"):
        start(network, SOURCES, 20, 40)
    assert state.lengths_B.tolist() == [0, 0, 0]


def test_an_encoder_alone_has_no_decoder():
    network = make_t5(decoder=False)
    with pytest.raises(ValueError, match="an encoder alone"):
        network.start(1, 5)
    with pytest.raises(ValueError, match="an encoder alone"):
        network.logits(torch.zeros(1, 24))
    with pytest.raises(ValueError, match="no language-model head"):
        make_t5(head="none").logits(torch.zeros(1, 24))
    with pytest.raises(ValueError, match="no contact head"):
        network.contacts([], [])
    with pytest.raises(ValueError, match="half of them"):
        make_t5(num_buckets=64, max_distance=20)


@pytest.mark.parametrize(
    "more", [{}, {"decoder": False}, {"head": "own"}, {"feed_forward": "gated-silu"}]
)
def test_settings_build_the_same_network_again(more):
    network = make_t5(**more)
    again = build("t5", settings_of(network))
    assert isinstance(again, T5)
    assert again.config == network.config
    again.load_state_dict(network.state_dict())
    assert isinstance(again.config, T5Config)
