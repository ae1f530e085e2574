"""Rotation, token dropout, contacts, pooling and convolutions, by hand."""

import math

import torch

from lexome.layers.convolution import Convolution, ConvolutionBlock, ConvolutionHead
from lexome.layers.embedding import TokenEmbedding
from lexome.layers.ends import SCALES, distance_to_ends
from lexome.layers.heads import remove_average_product
from lexome.layers.layout import PackedLayout, PaddedLayout
from lexome.layers.pooling import SequencePool
from lexome.layers.rotary import Rotary, rotate


def test_rotation_turns_a_pair_by_its_position():
    """Channel i turns with channel i + d/2: (1, 0) at position p becomes (cos p, sin p)."""
    rotary = Rotary(2)
    x = torch.tensor([[[1.0, 0.0]]]).expand(4, 1, 2)
    turned = rotate(x, rotary(torch.arange(4)))
    wanted = torch.tensor([[math.cos(p), math.sin(p)] for p in range(4)])
    torch.testing.assert_close(turned[:, 0], wanted)


def test_only_the_distance_between_positions_counts():
    torch.manual_seed(0)
    rotary, q, k = Rotary(8), torch.randn(1, 1, 8), torch.randn(1, 1, 8)

    def score(i, j):
        return (rotate(q, rotary(torch.tensor([i]))) * rotate(k, rotary(torch.tensor([j])))).sum()

    torch.testing.assert_close(score(3, 5), score(13, 15), atol=1e-4, rtol=1e-4)


def test_token_dropout_rescales_each_sequence_by_its_own_masked_share():
    """No mask: 0.88. One of four masked: 0.88 / 0.75, and the masked row is zero."""
    embedding = TokenEmbedding(33, 2, mask_id=32, token_dropout=True)
    torch.nn.init.ones_(embedding.tokens.weight)
    out = embedding(torch.tensor([0, 5, 2, 0, 5, 32, 2]), PackedLayout([3, 4]))
    torch.testing.assert_close(out[:3], torch.full((3, 2), 0.88))
    torch.testing.assert_close(out[[3, 4, 6]], torch.full((3, 2), 0.88 / 0.75))
    assert out[5].abs().sum() == 0


def test_average_product_correction_of_a_product_is_zero():
    column = torch.tensor([1.0, 2.0, 3.0])
    corrected = remove_average_product((column[:, None] * column)[None])
    torch.testing.assert_close(corrected, torch.zeros(1, 3, 3), atol=1e-6, rtol=0)


def test_distances_to_both_ends_fade_and_ignore_padding():
    ends = distance_to_ends(PaddedLayout([2, 4]))
    num = len(SCALES)
    assert ends[0, 0, :num].tolist() == [1.0] * num
    assert ends[0, 1, num:].tolist() == [1.0] * num
    torch.testing.assert_close(ends[1, 2, 0], torch.tensor(math.exp(-2 / SCALES[0])))


def test_pooling_is_the_same_in_both_layouts_and_ignores_padding():
    torch.manual_seed(0)
    pool = SequencePool(4, num_queries=2)
    torch.nn.init.normal_(pool.place.weight)
    parts = [torch.randn(3, 4), torch.randn(6, 4)]
    rows = torch.full((2, 6, 4), 7.0)
    rows[0, :3], rows[1] = parts[0], parts[1]
    packed = pool(torch.cat(parts), PackedLayout([3, 6]))
    padded = pool(rows, PaddedLayout([3, 6]))
    torch.testing.assert_close(packed, padded)
    torch.testing.assert_close(packed[0, -4:], parts[0].amax(0))
    torch.testing.assert_close(packed[1, -8:-4], parts[1].mean(0))


def test_the_convolution_equals_conv1d():
    torch.manual_seed(0)
    ours = Convolution(3, 5, kernel=7, dilation=2)
    x = torch.randn(2, 20, 3)
    theirs = torch.nn.functional.conv1d(
        x.transpose(1, 2), ours.weight.squeeze(2), ours.bias, padding=6, dilation=2
    ).transpose(1, 2)
    torch.testing.assert_close(ours(x), theirs)


def test_padding_never_reaches_a_token_through_a_block():
    torch.manual_seed(0)
    block = ConvolutionBlock(4, kernel=3, dilation=1, dropout=0.5).eval()
    x = torch.randn(1, 6, 4)
    real = torch.tensor([1.0, 1, 1, 0, 0, 0])[None, :, None]
    short = block(x[:, :3], real[:, :3])
    torch.testing.assert_close(block(x * real, real)[:, :3], short)


def test_the_convolution_head_is_the_same_in_both_layouts_and_for_a_sequence_alone():
    torch.manual_seed(0)
    head = ConvolutionHead(6, 8, 3).eval()
    packed, padded = PackedLayout([5, 2, 9]), PaddedLayout([5, 2, 9])
    x_TD = torch.randn(16, 6)
    rows, _ = packed.to_rows(x_TD)
    rows[~padded.real_N] = 9.0  # what stands in the padding must not matter
    together = head(x_TD, packed)
    torch.testing.assert_close(packed.from_rows(head(rows, padded)), together)
    torch.testing.assert_close(head(x_TD[5:7], PackedLayout([2])), together[5:7])
    assert head(rows, padded)[~padded.real_N].abs().sum() == 0
