"""What the tests of the command line share: a warm start, a table and a finished run."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.commands import Finished, WarmStart, call_main, warm_start
from tests.toys import motif_table


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WarmStart]:
    """A process that forks one for every command."""
    with warm_start(tmp_path_factory.mktemp("warm")) as start:
        yield start


@pytest.fixture
def lexome(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Finished]:
    """The command in this process."""
    return lambda *args: call_main(capsys, monkeypatch, *args)


@pytest.fixture(scope="session")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of 60 proteins with a label and a split column."""
    path = tmp_path_factory.mktemp("data") / "proteins.csv"
    motif_table(60, lengths=(20, 40)).write_csv(path)
    return path


@pytest.fixture(scope="session")
def run(table: Path, tmp_path_factory: pytest.TempPathFactory, warm: WarmStart) -> Path:
    """A finished run of two seeds on that table."""
    folder = tmp_path_factory.mktemp("runs") / "toy"
    done = warm.run("finetune", table, "-o", folder, "--seeds", 2, "--epochs", 2, "--dtype", "fp32")
    assert done.code == 0, done.err
    return folder
