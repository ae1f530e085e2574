"""A network in another number format, but for the tensors that must stay exact."""

import torch
from torch import nn


def cast(network: nn.Module, device: str | torch.device, dtype: torch.dtype) -> nn.Module:
    """Move a network in place; a brick's tensors that its `fp32_tensors` names keep their values.

    They are what rounding would ruin: angles of positions, poles of filters.
    """
    kept = [
        (module, name, tensor.detach().clone())
        for module in network.modules()
        for name in getattr(module, "fp32_tensors", ())
        if isinstance(tensor := getattr(module, name, None), torch.Tensor)
    ]
    network = network.to(device=device, dtype=dtype)
    for module, name, tensor in kept:
        getattr(module, name).data = tensor.to(device)
    return network
