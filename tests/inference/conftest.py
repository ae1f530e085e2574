"""What the tests of inference share: one thread and a tiny model."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from lexome.inference.model import Model, load
from tests.toys import write_esm2


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    """Toys are too small for several threads, and the machine may be busy."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def esm2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny ESM-2 directory."""
    return write_esm2(tmp_path_factory.mktemp("models") / "esm2-toy")


@pytest.fixture
def model(esm2: Path) -> Model:
    """The model of that directory, the test's own to change."""
    return load(str(esm2))


@pytest.fixture
def narrow(esm2: Path) -> Model:
    """The same with a context of 32 tokens, 30 residues, so that short sequences are long."""
    loaded = load(str(esm2))
    loaded.card = loaded.card._replace(context=32)
    return loaded
