"""Attention for training on a CPU equals the plain formula, forwards and backwards."""

import pytest
import torch

from lexome.layers import products
from lexome.layers.layout import PackedLayout, PaddedLayout
from lexome.layers.products import attend_products, can_multiply

LENGTHS = [1, 31, 33, 64, 7]
HEADS, WIDTH = 3, 8


def random_tokens(count: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> list:
    generator = torch.Generator().manual_seed(seed)
    shape = (count, HEADS, WIDTH)
    return [torch.randn(shape, generator=generator, dtype=dtype).requires_grad_() for _ in "qkv"]


def plain(query, key, value, lengths):
    """The padded twin: einsum and a mask, gradients by autograd."""
    packed, padded = PackedLayout(lengths), PaddedLayout(lengths)
    rows = [packed.to_rows(x)[0] for x in (query, key, value)]
    return packed.from_rows(padded.attend(*rows))


@pytest.mark.parametrize("kept", [products.KEPT, 32, 0])
@pytest.mark.parametrize("in_cache", [products.IN_CACHE, 2 * 64 * 64 * 8, 1])
def test_it_is_the_plain_formula_forwards_and_backwards(monkeypatch, kept, in_cache):
    """Whether probabilities are kept or made again, and however many heads go at once."""
    monkeypatch.setattr(products, "KEPT", kept)
    monkeypatch.setattr(products, "IN_CACHE", in_cache)
    count = sum(LENGTHS)
    mine, theirs = random_tokens(count), random_tokens(count)
    weights = torch.randn(count, HEADS, WIDTH, dtype=torch.float64)
    out = attend_products(*mine, PackedLayout(LENGTHS).bounds)
    expected = plain(*theirs, LENGTHS)
    # The twin takes its softmax in fp32.
    torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-6)
    (out * weights).sum().backward()
    (expected * weights).sum().backward()
    for a, b in zip(mine, theirs, strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-4, atol=1e-5)


def test_its_gradients_are_those_of_its_values():
    given = random_tokens(6)
    assert torch.autograd.gradcheck(lambda *x: attend_products(*x, [0, 4, 6]), given)


def test_a_sequence_does_not_depend_on_its_neighbours():
    """To the bit, gradients too: what fills up a length has no weight."""
    together = random_tokens(40, dtype=torch.float32)
    alone = [x.detach()[33:].clone().requires_grad_() for x in together]
    out, own = attend_products(*together, [0, 33, 40]), attend_products(*alone, [0, 7])
    assert torch.equal(out[33:], own)
    out.square().sum().backward()
    own.square().sum().backward()
    for a, b in zip(together, alone, strict=True):
        assert torch.equal(a.grad[33:], b.grad)


def test_bf16_stays_near_fp32():
    exact = random_tokens(200, dtype=torch.float32)
    rounded = [x.detach().bfloat16().requires_grad_() for x in exact]
    outs = [attend_products(*x, [0, 150, 200]) for x in (exact, rounded)]
    for out in outs:
        out.float().square().sum().backward()
    pairs = [(outs[0], outs[1]), *((a.grad, b.grad) for a, b in zip(exact, rounded, strict=True))]
    for a, b in pairs:
        assert (a - b.float()).norm() < 0.02 * a.norm()


def test_the_layout_takes_it_in_training_alone():
    """Without a way back, and where a head's probabilities are too large, it steps aside."""
    query, key, value = random_tokens(9, dtype=torch.float32)
    layout = PackedLayout([4, 5])
    trained = layout.attend(query, key, value)
    assert type(trained.grad_fn).__name__ == "_AttendBackward"
    assert can_multiply(products.LONGEST, query)
    assert can_multiply(9, query.detach(), key)  # an adapter may be on the keys alone
    assert not can_multiply(9, query.detach())
    assert not can_multiply(products.LONGEST + 1, query)
    with torch.no_grad():
        assert not can_multiply(9, query)
        torch.testing.assert_close(layout.attend(query, key, value), trained)
