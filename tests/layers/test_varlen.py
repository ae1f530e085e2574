"""The GPU's kernel for packed sequences agrees with the plain formula."""

import pytest
import torch

from lexome.layers.layout import PackedLayout, PaddedLayout
from lexome.layers.varlen import can_varlen

LENGTHS = [5, 130, 1, 64]
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


def test_the_cpu_and_fp32_take_the_plain_path() -> None:
    assert not can_varlen(torch.zeros(4, 2, 16, dtype=torch.bfloat16))


@needs_gpu
@pytest.mark.parametrize("width", [16, 32, 64])
def test_forward_and_gradients_agree_with_fp32_rows(width: int) -> None:
    torch.manual_seed(0)
    total = sum(LENGTHS)
    query, key, value = (torch.randn(total, 3, width, device="cuda") for _ in range(3))
    query = query * width**-0.5
    weight = torch.randn(total, 3, width, device="cuda")
    rows = PaddedLayout(LENGTHS, "cuda")
    plain = [x.clone().requires_grad_() for x in (query, key, value)]
    packed = PackedLayout(LENGTHS, "cuda")
    in_rows = [packed.to_rows(x)[0] for x in plain]
    expected = packed.from_rows(rows.attend(*in_rows))
    (expected * weight).sum().backward()
    fast = [x.bfloat16().requires_grad_() for x in (query, key, value)]
    assert can_varlen(fast[0])
    found = packed.attend(*fast)
    (found * weight).sum().backward()
    assert torch.allclose(found.float(), expected, atol=2e-2)
    for one, other in zip(fast, plain, strict=True):
        assert one.grad is not None
        assert other.grad is not None
        scale = other.grad.abs().max()
        assert (one.grad.float() - other.grad).abs().max() < 0.02 * scale
