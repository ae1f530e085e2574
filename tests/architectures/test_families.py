"""The table of architectures; same answer in any company for each of them."""

import pytest
import torch

from lexome.architectures.families import NEW_MODELS, build, find_family, new_model, settings_of
from lexome.batches.packing import pack
from lexome.batches.padding import pad
from lexome.checkpoints.blank import no_values
from lexome.errors import InputError

GPTS = [spelling for spelling in NEW_MODELS if spelling.startswith("new:gpt-")]
# the larger ones have the same lines and other sizes
SMALL = [spelling for spelling in NEW_MODELS if spelling not in GPTS[2:]]
ROWS = [[0, 5, 9, 13, 2], [0, 8, 2], [0, *range(4, 24), *range(4, 24), 2]]


# one gives fewer vectors than tokens (see test_baselines.py)
PER_TOKEN = [spelling for spelling in SMALL if spelling != "new:deepstarr"]


@pytest.mark.parametrize("spelling", PER_TOKEN)
def test_packed_padded_and_alone_give_the_same(spelling):
    torch.manual_seed(0)
    _, network = new_model(spelling)
    network.eval()
    packed, padded = pack(ROWS), pad(ROWS, pad_id=1)
    with torch.inference_mode():
        from_packed = packed.layout.split(network(*packed))
        from_padded = padded.layout.split(network(*padded))
        for ids, a, b in zip(ROWS, from_packed, from_padded, strict=True):
            alone = network(*pack([ids]))
            limit = 1e-5 * alone.abs().max()
            assert (a - alone).abs().max() <= limit
            assert (b - alone).abs().max() <= limit


@pytest.mark.parametrize("spelling", SMALL)
def test_settings_build_the_same_network_again(spelling):
    family, network = new_model(spelling)
    again = build(family, settings_of(network))
    assert {n: p.shape for n, p in again.named_parameters()} == {
        n: p.shape for n, p in network.named_parameters()
    }


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(InputError, match="new:cnn"):
        new_model("new:cn")
    with pytest.raises(InputError, match="encoder"):
        find_family("encodr")


@pytest.mark.parametrize("spelling", GPTS)
def test_a_gpt_is_as_large_as_its_name_says(spelling):
    family, settings = NEW_MODELS[spelling]
    with no_values():
        network = build(family, settings)
    layers, width = settings["num_layers"], settings["width"]
    blocks = layers * (12 * width**2 + 13 * width)
    ends = (33 + settings["context"]) * width + 2 * width
    parameters = sum(p.numel() for p in network.parameters())
    assert parameters == blocks + ends
    unit = {"m": 1e6, "b": 1e9}[spelling[-1]]
    # the published names count an embedding of 50,257 tokens, these have 33
    assert parameters + 50_224 * width * (unit * float(spelling[8:-1]) > 1e8) == pytest.approx(
        unit * float(spelling[8:-1]), rel=0.15
    )
