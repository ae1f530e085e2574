"""Batches are bounded in tokens, keep the order, and lose nothing."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from lexome.batches.packing import in_batches, pack
from lexome.batches.padding import pad


def test_packing_and_padding_hold_the_same_tokens():
    sequences = [[0, 5, 2], [0, 2], [0, 7, 8, 9, 2]]
    packed, padded = pack(sequences), pad(sequences, pad_id=1)
    assert packed.tokens_T.tolist() == [0, 5, 2, 0, 2, 0, 7, 8, 9, 2]
    assert packed.layout.bounds == [0, 3, 5, 10]
    assert padded.tokens_SL[1].tolist() == [0, 2, 1, 1, 1]
    for a, b in zip(
        packed.layout.split(packed.tokens_T), padded.layout.split(padded.tokens_SL), strict=True
    ):
        assert torch.equal(a, b)


@given(st.lists(st.integers(1, 50)), st.integers(1, 60))
def test_every_item_comes_back_once_in_order_and_batches_stay_in_budget(sizes, budget):
    batches = list(in_batches(((i, n) for i, n in enumerate(sizes)), budget))
    assert [i for batch in batches for i in batch] == list(range(len(sizes)))
    for batch in batches:
        assert len(batch) == 1 or sum(sizes[i] for i in batch) <= budget
