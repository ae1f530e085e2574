"""Which of how many processes this is; set up by `torchrun`, or alone."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch import distributed as dist
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from lexome.errors import EnvironmentProblem

# A rank that waits longer than this for the others takes them for dead, and torchrun restarts all.
PATIENCE = timedelta(minutes=10)
# Where one rank does alone what may take as long as the corpus is large; one that dies ends it.
LONG_PATIENCE = timedelta(days=30)
# Connections are never taken down before the process ends: a wrapped network that outlives its
# connection would take it down itself, with Python's lock held, which its threads may wait for.
_connections: list[Any] = []


class Ranks(NamedTuple):
    """This process among its fellows."""

    rank: int
    size: int
    device: str
    patient: Any = None  # torch's group whose waiting does not end after PATIENCE

    @property
    def is_first(self) -> bool:
        """Whether this one writes what is written once."""
        return self.rank == 0

    def total(self, values: Tensor) -> Tensor:
        """The sum of a tensor over all ranks, in place."""
        if self.size > 1:
            dist.all_reduce(values)
        return values

    def agree(self, number: int) -> int:
        """What the first rank says; what the others say does not count."""
        said = torch.tensor(number if self.is_first else 0, device=self.device)
        return int(self.total(said))

    @contextmanager
    def together(self) -> Iterator[None]:
        """A block that ends well on all ranks or on none; nothing is exchanged within it.

        One may work for hours while the others wait. Where one fails the others raise too: else
        they would wait for it elsewhere until their patience ends.

        Raises:
            EnvironmentProblem: another rank failed; its own message says why.
        """
        try:
            yield
        except Exception:
            self._count_failures(1)
            raise
        if self._count_failures(0):
            raise EnvironmentProblem(
                f"process {self.rank} of {self.size}",
                "that another one failed",
                "all to go on together",
                "what the message of that one says",
            )

    def _count_failures(self, own: int) -> int:
        failures = torch.tensor(own)
        if self.size > 1:
            dist.all_reduce(failures, group=self.patient)
        return int(failures)


@contextmanager
def join_ranks(device: str) -> Iterator[Ranks]:
    """Join the other processes where `torchrun` started this one; else be alone.

    `device` is "cpu" or "cuda"; with several ranks each takes the GPU of its local rank. NCCL
    connects GPUs, gloo CPUs.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield Ranks(0, 1, device)
        return
    is_gpu = device.split(":")[0] == "cuda"
    own = None
    if is_gpu:
        device = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
        torch.cuda.set_device(device)
        own = torch.device(device)
    store, rank, size = _meeting_point()
    backend = "nccl" if is_gpu else "gloo"
    dist.init_process_group(
        backend, store=store, rank=rank, world_size=size, timeout=PATIENCE, device_id=own
    )
    try:
        patient = dist.new_group(backend="gloo", timeout=LONG_PATIENCE)
        _connections.extend((dist.group.WORLD, patient))
        yield Ranks(rank, size, device, patient)
    finally:
        dist.destroy_process_group()


def _meeting_point() -> tuple[Store, int, int]:
    """Where the processes leave their addresses for each other; the rank and number of them.

    `torchrun` keeps it over restarts, with the addresses of the dead (pytorch issue 135712). On one
    machine the number of the restart tells them apart. Machines count restarts each for itself:
    there TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 has to be set for `torchrun`.
    """
    store, rank, size = next(rendezvous("env://", timeout=PATIENCE))
    if os.environ.get("LOCAL_WORLD_SIZE") == str(size):
        store = PrefixStore(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"), store)
    return store, rank, size
