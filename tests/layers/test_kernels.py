"""The fast forms give what the plain bricks give."""

import copy

import pytest
import torch

from lexome.architectures.encoder import Encoder, EncoderConfig
from lexome.architectures.t5 import T5, T5Config
from lexome.batches.packing import pack
from lexome.layers import kernels

TOKENS = [[0, 5, 6, 32, 7, 2], [0, 9, 2], [0, *range(4, 24), 2]]


def network(seed=0):
    torch.manual_seed(seed)
    config = EncoderConfig(num_layers=2, width=48, num_heads=4, ffn_width=96)
    made = Encoder(config).eval()
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return made


@pytest.mark.parametrize("packed_linear", [True, False])
def test_the_accelerated_network_equals_the_plain_one(monkeypatch, packed_linear):
    if packed_linear and not kernels.has_packed_linear():
        pytest.skip("oneDNN's reordered linear is not in this torch")
    monkeypatch.setattr(kernels, "has_packed_linear", lambda: packed_linear)
    plain = network()
    fast = kernels.accelerate(copy.deepcopy(plain))
    packed = pack(TOKENS)
    with torch.inference_mode():
        a, b = plain.trace(*packed, True), fast.trace(*packed, True)
    torch.testing.assert_close(a.hidden_ND, b.hidden_ND, atol=2e-5, rtol=1e-5)
    for layer_a, layer_b in zip(a.maps, b.maps, strict=True):
        for map_a, map_b in zip(layer_a, layer_b, strict=True):
            torch.testing.assert_close(map_a, map_b, atol=1e-5, rtol=1e-5)


def test_bf16_stays_close_to_fp32_and_angles_stay_in_fp32():
    plain = network()
    half = copy.deepcopy(plain).bfloat16()
    half.rotary.float()
    half = kernels.accelerate(half)
    packed = pack(TOKENS)
    with torch.inference_mode():
        a, b = plain(*packed), half(*packed).float()
    assert b.dtype == torch.float32
    assert torch.nn.functional.cosine_similarity(a, b).min() > 0.999


def test_accelerating_swaps_every_attention_and_feed_forward():
    fast = kernels.accelerate(network())
    kinds = {type(module).__name__ for module in fast.modules()}
    assert {"FastAttention", "FastFeedForward"} <= kinds
    assert not {"Attention", "FeedForward"} & kinds


@pytest.mark.parametrize("kind", ["relu", "gelu", "silu", "gated-gelu_new", "gated-gelu"])
@pytest.mark.parametrize("packed_linear", [True, False])
def test_the_accelerated_encoder_and_decoder_equal_the_plain_ones(monkeypatch, packed_linear, kind):
    if packed_linear and not kernels.has_packed_linear():
        pytest.skip("oneDNN's reordered linear is not in this torch")
    monkeypatch.setattr(kernels, "has_packed_linear", lambda: packed_linear)
    torch.manual_seed(3)
    sizes = {"num_layers": 2, "width": 24, "num_heads": 3, "head_width": 16, "ffn_width": 40}
    more = {"vocabulary_size": 40, "decoder_layers": 2, "feed_forward": kind}
    plain = T5(T5Config(**sizes, **more)).eval()
    for parameter in plain.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    fast = kernels.accelerate(copy.deepcopy(plain))
    kinds = {type(module).__name__ for module in fast.modules()}
    assert {"FastUnscaledAttention", "FastCrossAttention"} <= kinds
    assert not {"UnscaledAttention", "CrossAttention", "FeedForward", "GatedFeedForward"} & kinds
    tokens, layout = pack(TOKENS)
    target = torch.tensor([[0, 4, 5, 6]] * len(TOKENS))
    with torch.inference_mode():
        a, b = plain(tokens, layout), fast(tokens, layout)
        torch.testing.assert_close(a, b, atol=2e-5, rtol=1e-5)
        found = [net.extend(target, net.start_from(a, layout, 4)) for net in (plain, fast)]
    torch.testing.assert_close(*found, atol=2e-5, rtol=1e-5)
