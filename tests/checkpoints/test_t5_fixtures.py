"""T5 against what transformers computed: encoder rows, pools, decoder logits, greedy ids."""

import json

import pytest
import torch
from safetensors.torch import load_file

from lexome.batches.packing import pack
from lexome.batches.padding import pad
from lexome.checkpoints.layouts import load_path
from lexome.inference.model import load
from tests.shared_data import shared

# tolerances of the fixtures' README
FIXTURES = {"t5-prott5-tiny": 1e-4, "t5-ankh-tiny": 2e-4}


@pytest.fixture(params=FIXTURES)
def fixture(request):
    path = shared(f"reference/fixtures/{request.param}")
    return path, load_file(path / "expected.safetensors"), FIXTURES[request.param]


def sources(expected):
    ids, mask = expected["batch.ids"], expected["batch.mask"].bool()
    return [row[real].tolist() for row, real in zip(ids, mask, strict=True)]


def close(found, expected, atol):
    torch.testing.assert_close(found, expected, atol=atol, rtol=0)


def check_encoder(rows, expected, atol):
    for i, hidden in enumerate(rows):
        places = expected[f"input{i}.encoder_positions"].long()
        close(hidden[places], expected[f"input{i}.encoder_last_hidden"], atol)
        close(hidden[:-1].mean(0), expected[f"input{i}.encoder_mean_pooled_without_eos"], atol)


@pytest.mark.parametrize("lay", ["alone", "packed", "padded"])
def test_the_encoder_agrees(fixture, lay):
    path, expected, atol = fixture
    network, ids = load_path(path).network, sources(expected)
    with torch.inference_mode():
        if lay == "alone":
            rows = [network(*pack([one])) for one in ids]
        else:
            tokens, layout = pack(ids) if lay == "packed" else pad(ids, 0)
            rows = layout.split(network(tokens, layout))
    check_encoder(rows, expected, atol)


def test_the_accelerated_encoder_agrees(fixture):
    path, expected, atol = fixture
    found = load(str(path)).run_ids(sources(expected), ["hidden"])
    check_encoder([torch.from_numpy(one.hidden) for one in found], expected, atol)


@pytest.mark.parametrize("form", ["plain", "fast"])
@pytest.mark.parametrize("steps", [[20], [1] * 20, [7, 1, 12]])
def test_the_decoder_agrees_read_at_once_or_in_steps(fixture, steps, form):
    path, expected, atol = fixture
    network = load_path(path).network if form == "plain" else load(str(path)).network
    with torch.inference_mode():
        tokens, layout = pack(sources(expected))
        state = network.start_from(network.encode(tokens, layout), layout, capacity=20)
        parts = expected["batch.decoder_input_ids"].split(steps, dim=1)
        hidden = torch.cat([network.extend(part, state) for part in parts], dim=1)
        close(network.logits(hidden), expected["batch.logits"], atol)
    assert state.lengths_B.tolist() == [20] * 3


def test_greedy_text_is_the_published_one(fixture):
    path, expected, _ = fixture
    network = load(str(path)).network
    with torch.inference_mode():
        tokens, layout = pack(sources(expected))
        state = network.start_from(network.encode(tokens, layout), layout, capacity=32)
        last, found = torch.full((3, 1), network.config.start_id), []
        for _ in range(32):
            last = network.logits(network.extend(last, state))[:, -1].argmax(-1, keepdim=True)
            found.append(last)
    assert torch.equal(torch.cat(found, dim=1), expected["greedy.new_ids"])


def test_every_tensor_is_used_and_the_facts_are_read(fixture):
    path, _, _ = fixture
    loaded = load_path(path)
    told = json.loads((path / "config.json").read_text())
    assert loaded.family == "t5"
    assert loaded.layout == ("prott5" if told["feed_forward_proj"] == "relu" else "ankh")
    assert loaded.network.config.head == ("tied" if told["tie_word_embeddings"] else "own")
    assert loaded.network.config.scaled_head == told["tie_word_embeddings"]
    assert not loaded.accounting.unused
    on_disk = load_file(path / "model.safetensors")
    assert set(loaded.accounting.used) == set(on_disk)
    assert sum(t.numel() for t in on_disk.values()) == sum(
        p.numel() for p in loaded.network.parameters()
    )
