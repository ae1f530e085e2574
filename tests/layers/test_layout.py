"""Packed and padded layouts answer every question alike."""

import pytest
import torch

from lexome.layers.layout import PackedLayout, PaddedLayout

LENGTHS = [3, 1, 5]


def both(width):
    """The same random values laid out both ways."""
    torch.manual_seed(0)
    parts = [torch.randn(n, width) for n in LENGTHS]
    padded = torch.full((3, 5, width), 9.0)  # what stands in the padding must not matter
    for row, part in zip(padded, parts, strict=True):
        row[: len(part)] = part
    return torch.cat(parts), padded


def test_positions_count_from_each_border():
    assert PackedLayout([2, 3]).positions_N.tolist() == [0, 1, 0, 1, 2]
    assert PaddedLayout([2, 3]).real_N.tolist() == [[True, True, False], [True, True, True]]


def test_attention_by_hand_for_two_tokens():
    """Scores 0 and ln 3 give the weights 1/4 and 3/4."""
    query = torch.tensor([[[1.0]], [[0.0]]])
    key = (
        torch.tensor([[[0.0]], [[3.0]]]).log1p() * torch.tensor(3.0).log() / torch.tensor(4.0).log()
    )
    value = torch.tensor([[[0.0]], [[8.0]]])
    out = PackedLayout([2]).attend(query, key, value)
    torch.testing.assert_close(out.flatten(), torch.tensor([6.0, 4.0]))


def test_attention_is_the_same_in_both_layouts_and_in_its_maps():
    (q, q_rows), (k, k_rows), (v, v_rows) = (
        tuple(x.unflatten(-1, (2, 4)) * scale for x in both(8)) for scale in (1.0, 0.5, 2.0)
    )
    packed, padded = PackedLayout(LENGTHS), PaddedLayout(LENGTHS)
    alike = zip(
        packed.split(packed.attend(q, k, v)),
        padded.split(padded.attend(q_rows, k_rows, v_rows)),
        packed.attention_maps(q, k),
        padded.attention_maps(q_rows, k_rows),
        packed.split(v),
        strict=True,
    )
    for a, b, map_a, map_b, value in alike:
        torch.testing.assert_close(a, b)
        torch.testing.assert_close(map_a, map_b)
        torch.testing.assert_close(map_a.sum(-1), torch.ones(2, len(a)))
        torch.testing.assert_close(torch.einsum("hqk,khd->qhd", map_a, value), a)


def test_sums_and_spreads_agree():
    values, rows = both(2)
    packed, padded = PackedLayout(LENGTHS), PaddedLayout(LENGTHS)
    torch.testing.assert_close(packed.sums(values), padded.sums(rows))
    numbers = torch.tensor([1.0, 2.0, 3.0])
    assert packed.spread(numbers).tolist() == [1, 1, 1, 2, 3, 3, 3, 3, 3]
    assert padded.spread(numbers)[:, 0].tolist() == [1, 2, 3]


def test_rows_and_back_is_the_identity_with_zeros_behind_the_end():
    values, _ = both(2)
    packed = PackedLayout(LENGTHS)
    rows, layout = packed.to_rows(values)
    assert rows[~layout.real_N].abs().sum() == 0
    assert torch.equal(packed.from_rows(rows), values)


@pytest.mark.parametrize("layout", [PackedLayout, PaddedLayout])
@pytest.mark.parametrize("lengths", [[], [3, 0]])
def test_a_sequence_without_tokens_is_refused(layout, lengths):
    with pytest.raises(ValueError, match="needs a token"):
        layout(lengths)
