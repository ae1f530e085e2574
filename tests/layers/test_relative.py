"""Relative positions: the published buckets, and attention without a matrix of them."""

import pytest
import torch

from lexome.layers.layout import PackedLayout, PaddedLayout
from lexome.layers.relative import (
    RelativeBias,
    attend_by_distance,
    narrow_distances,
    relative_buckets,
)


@pytest.mark.parametrize("both_ways", [True, False])
@pytest.mark.parametrize(("num", "most"), [(32, 128), (64, 128), (8, 20), (4, 128), (32, 17)])
def test_buckets_are_those_of_transformers(both_ways, num, most):
    modeling = pytest.importorskip("transformers.models.t5.modeling_t5")
    distance = torch.arange(-700, 701)
    theirs = modeling.T5Attention._relative_position_bucket(distance, both_ways, num, most)
    assert torch.equal(relative_buckets(distance, num, most, both_ways), theirs)


def test_buckets_by_hand():
    """8 buckets both ways: 4 a side, 0 and 1 for themselves, 2 and 3 by logarithm up to 16."""
    distance = torch.tensor([0, -1, -2, -5, -6, -100, 1, 2, 5, 6, 100])
    found = relative_buckets(distance, 8, 16, both_ways=True)
    assert found.tolist() == [0, 1, 2, 2, 3, 3, 5, 6, 6, 7, 7]
    # one way: 4 for themselves, 4 by logarithm, nothing ahead
    found = relative_buckets(torch.tensor([3, 0, -3, -4, -8, -15, -16]), 8, 16, both_ways=False)
    assert found.tolist() == [0, 0, 3, 4, 6, 7, 7]


def plain(query, key, value, bias, queries, keys):
    """Every score by itself."""
    added = bias(queries, keys)
    scores = torch.einsum("qhd,khd->hqk", query, key)
    for q in range(queries):
        for k in range(keys):
            scores[:, q, k] += added[:, k - (keys - queries + q) + keys - 1]
    return torch.einsum("hqk,khd->qhd", scores.softmax(-1), value)


@pytest.mark.parametrize(("queries", "keys"), [(1, 1), (1, 9), (4, 9), (9, 9)])
@pytest.mark.parametrize("both_ways", [True, False])
def test_reversed_queries_read_windows_of_the_distances(queries, keys, both_ways):
    torch.manual_seed(queries)
    bias = RelativeBias(8, 3, 20, both_ways)
    query, key, value = torch.randn(queries, 3, 5), torch.randn(keys, 3, 5), torch.randn(keys, 3, 5)
    with torch.inference_mode():
        found = attend_by_distance(query, key, value, bias(queries, keys))
        expected = plain(query, key, value, bias, queries, keys)
        torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)
        wider = narrow_distances(bias(queries, keys + 6), keys, keys + 6, queries)
        assert torch.equal(attend_by_distance(query, key, value, wider), found)


def test_no_query_of_a_decoder_sees_what_is_ahead():
    torch.manual_seed(0)
    bias, query = RelativeBias(8, 2, 20, both_ways=False), torch.randn(5, 2, 4)
    key, value = torch.randn(5, 2, 4), torch.randn(5, 2, 4)
    with torch.inference_mode():
        before = attend_by_distance(query, key, value, bias(5, 5))
        key[3:], value[3:] = 9.0, 9.0
        after = attend_by_distance(query, key, value, bias(5, 5))
    assert torch.equal(before[:3], after[:3])
    assert not torch.allclose(before[3:], after[3:])


def test_packed_and_padded_attend_alike_and_so_do_their_maps():
    torch.manual_seed(1)
    lengths, bias = [3, 7, 1], RelativeBias(8, 2, 20, both_ways=True)
    packed, padded = PackedLayout(lengths), PaddedLayout(lengths)
    with torch.inference_mode():
        q, k, v = (torch.randn(sum(lengths), 2, 4) for _ in range(3))
        added = bias(7, 7)
        rows = [packed.to_rows(x)[0] for x in (q, k, v)]
        a = packed.attend(q, k, v, added_HW=added)
        b = torch.cat(padded.split(padded.attend(*rows, added_HW=added)))
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5)
        for one, other in zip(
            packed.attention_maps(q, k, added_HW=added),
            padded.attention_maps(rows[0], rows[1], added_HW=added),
            strict=True,
        ):
            torch.testing.assert_close(one, other)


def test_the_table_learns_through_the_windows():
    torch.manual_seed(2)
    bias = RelativeBias(8, 2, 20, both_ways=True)
    q, k, v = (torch.randn(6, 2, 4) for _ in range(3))
    attend_by_distance(q, k, v, bias(6, 6)).square().sum().backward()
    found, bias.table.weight.grad = bias.table.weight.grad.clone(), None
    plain(q, k, v, bias, 6, 6).square().sum().backward()
    torch.testing.assert_close(found, bias.table.weight.grad, atol=1e-5, rtol=1e-4)
