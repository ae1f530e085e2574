"""Randomness that is asked for by name: every draw comes from a generator made here."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np


def derive_seed(*parts: int | str) -> int:
    """A 63-bit seed from a tuple of names and numbers, the same on every machine.

    >>> derive_seed("shuffle", 1, 0) == derive_seed("shuffle", 1, 0)
    True
    >>> derive_seed("shuffle", 1, 0) == derive_seed("shuffle", 1, 1)
    False
    """
    digest = hashlib.blake2b("\x1f".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def numpy_generator(*parts: int | str) -> np.random.Generator:
    """A NumPy generator for the draw that `parts` name."""
    return np.random.default_rng(derive_seed(*parts))


@contextmanager
def keep_randomness() -> Iterator[None]:
    """Leave torch's own generators as they were, whatever the block draws or seeds."""
    import torch

    with torch.random.fork_rng(range(torch.cuda.device_count())):
        yield
