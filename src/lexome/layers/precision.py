"""A network in another number format, but for the tensors that must stay exact."""

from operator import attrgetter

import torch
from torch import Tensor, nn


def cast(network: nn.Module, device: str | torch.device, dtype: torch.dtype) -> nn.Module:
    """Move a network in place; a brick's tensors that its `fp32_tensors` names keep their values.

    They are what rounding would ruin: angles of positions, poles of filters.
    """
    kept = [
        (module, name, tensor.detach().clone())
        for module in network.modules()
        for name in getattr(module, "fp32_tensors", ())
        if isinstance(tensor := _find(module, name), Tensor)
    ]
    network = network.to(device=device, dtype=dtype)
    for module, name, tensor in kept:
        attrgetter(name)(module).data = tensor.to(device)
    return network


def _find(module: nn.Module, name: str) -> object:
    """A tensor by its dotted name; a brick may name some that only one of its kinds has."""
    try:
        return attrgetter(name)(module)
    except AttributeError:
        return None
