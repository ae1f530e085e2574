"""The encoder reads some tokens only, and says of them what it says of all."""

import pytest
import torch

from lexome.architectures.encoder import Encoder, EncoderConfig
from lexome.batches.packing import pack
from lexome.layers.kernels import accelerate


@pytest.mark.parametrize("positions", ["rotary", "learned"])
@pytest.mark.parametrize("is_fast", [False, True])
@pytest.mark.parametrize("counts", [[1, 2, 0, 9], [0, 0, 0, 1], [0, 0, 0, 0]])
def test_some_tokens_are_those_of_the_whole(positions, is_fast, counts):
    config = EncoderConfig(num_layers=2, width=32, num_heads=4, ffn_width=64, positions=positions)
    network = Encoder(config)
    network.initialize(0.3)
    network = accelerate(network.eval()) if is_fast else network.eval()
    generator = torch.Generator().manual_seed(1)
    texts = [torch.randint(4, 24, (n,), generator=generator).tolist() for n in (5, 12, 3, 9)]
    texts[1][3] = config.mask_id
    packed = pack(texts)
    places = [
        torch.randperm(len(t), generator=generator)[:n].sort()[0]
        for t, n in zip(texts, counts, strict=True)
    ]
    rows = torch.cat([p + b for p, b in zip(places, packed.layout.bounds, strict=False)])
    with torch.inference_mode():
        whole = network(*packed)
        some = network.read_some(*packed, rows, counts)
    assert some.shape == (sum(counts), 32)
    torch.testing.assert_close(some, whole[rows], atol=1e-5, rtol=1e-5)
