"""What the tests of all rooms share: one thread, and a tiny model."""

import os
from pathlib import Path

import pytest

# Before torch is imported: toys are too small for several threads, and the machine may be busy.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def esm2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny ESM-2 directory."""
    from tests.toys import write_esm2  # imports torch, which many rooms do without

    return write_esm2(tmp_path_factory.mktemp("models") / "esm2-toy")
