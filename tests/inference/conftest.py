"""What the tests of inference share: the tiny model, and one of a short context."""

from pathlib import Path

import pytest

from lexome.inference.model import Model, load


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
