"""Puts data parallelism on a finished network: whole copies (DDP) or shards (FSDP2)."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.nn.parallel import DistributedDataParallel

from lexome.distributed.ranks import Ranks
from lexome.layers.block import BLOCKS

Parallel = Literal["ddp", "fsdp"]
PARALLEL: tuple[str, ...] = get_args(Parallel)


def spread(network: nn.Module, how: str, ranks: Ranks) -> nn.Module:
    """`network` over all ranks; alone, it stays as it is.

    With "ddp" each rank holds all weights and gradients are averaged; with "fsdp" (FSDP2) weights,
    gradients and optimiser states are cut up, block by block.
    """
    if ranks.size == 1:
        return network
    if how == "ddp":
        return DistributedDataParallel(network, gradient_as_bucket_view=True)
    # Named, as torch would take the GPU wherever there is one, also for a network on the CPU.
    mesh = init_device_mesh(ranks.device.split(":")[0], (ranks.size,))
    for module in network.modules():
        if isinstance(module, BLOCKS):
            fully_shard(module, mesh=mesh)
    fully_shard(network, mesh=mesh)
    return network


def accumulate(network: nn.Module, last: bool) -> AbstractContextManager[Any]:
    """Around a backward pass: gradients are only exchanged at the `last` one of a step."""
    if isinstance(network, DistributedDataParallel):
        return nullcontext() if last else network.no_sync()
    if isinstance(network, FSDPModule):
        network.set_requires_gradient_sync(last)
    return nullcontext()


def drop_gathered(network: nn.Module) -> None:
    """Let go of weights that were put together for a forward pass without a backward one.

    The outermost module keeps them for its backward pass, and would go on with them although
    the shards have changed since.
    """
    for module in network.modules():
        if isinstance(module, FSDPModule):
            module.reshard()


def local(tensor: Tensor) -> Tensor:
    """The part of a sharded tensor that lies here; any other tensor itself."""
    to_local = getattr(tensor, "to_local", None)
    found: Tensor = to_local() if to_local is not None else tensor
    return found


def whole(tensor: Tensor) -> Tensor:
    """A sharded tensor put together, any other one copied; every rank must ask."""
    full = getattr(tensor, "full_tensor", None)
    found: Tensor = full() if full is not None else tensor.clone()
    return found.detach()


def bare(network: nn.Module) -> nn.Module:
    """The network without DDP's wrapping."""
    return network.module if isinstance(network, DistributedDataParallel) else network


def clip_gradients(network: nn.Module, largest: float) -> Tensor:
    """Scale all gradients down to a norm of at most `largest`; returns the norm before."""
    norm = torch.nn.utils.clip_grad_norm_(network.parameters(), largest)
    return whole(norm)
