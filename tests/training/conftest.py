"""What the tests of training share: one thread, a tiny model, and one finished run."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from lexome.training.finetune import finetune
from lexome.training.run_folder import Run
from tests.toys import motif_table, write_esm2

# A recipe for a hundred rows instead of tens of thousands.
SMALL = {"batch_size": 16, "mask": 0.0, "substitute": 0.0, "average": 0.9}


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


@pytest.fixture(scope="session")
def motif_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A convolutional network that was trained to find the motif, two seeds."""
    return finetune(
        "new:cnn",
        motif_table(240),
        "label",
        output=tmp_path_factory.mktemp("runs") / "motif",
        split="column:part",
        seeds=2,
        epochs=8,
        dtype="fp32",
        composition=False,
        **SMALL,
    )
