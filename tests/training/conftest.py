"""What the tests of training share: a small recipe, and one finished run."""

import pytest

from lexome.training.finetune import finetune
from lexome.training.run_folder import Run
from tests.toys import motif_table

# A recipe for a hundred rows instead of tens of thousands.
SMALL = {"batch_size": 16, "mask": 0.0, "substitute": 0.0, "average": 0.9}


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
