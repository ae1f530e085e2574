"""A disk that is really full: one clear line, older results unharmed, and the same command again."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from tests.commands import SMALL_DISK, Finished, WarmStart, warm_start
from tests.toys import random_proteins, write_fasta

KEPT = ("config.json", "weights-1.safetensors", "metrics.json", "run.json", "report.html")


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the small disk is mounted, for the commands only."""
    return tmp_path_factory.mktemp("disk")


@pytest.fixture(scope="module")
def small(disk: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WarmStart]:
    """Commands that see a disk of 24 MB there."""
    if shutil.which("unshare") is None:
        pytest.skip("no unshare to mount a small disk with")
    if subprocess.run([*SMALL_DISK, str(disk), "true"], capture_output=True).returncode:
        pytest.skip("this machine does not let us mount a small disk")
    folder = tmp_path_factory.mktemp("small")
    with warm_start(folder, [*SMALL_DISK, str(disk)]) as start:
        yield start


@pytest.fixture
def empty(small: WarmStart, disk: Path) -> Path:
    """The disk with nothing on it, as this process sees it."""
    seen = small.sees(disk)
    for path in seen.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return seen


def fill(seen: Path, leave: int) -> None:
    """Fill the disk but for so many bytes."""
    space = os.statvfs(seen)
    with (seen / "ballast").open("wb") as file:
        file.write(b"x" * (space.f_bavail * space.f_frsize - leave))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def says_full(done: Finished) -> bool:
    return done.code == 2 and "saw a full disk" in done.error and "bytes free in" in done.error


def test_vectors_that_do_not_fit_leave_the_older_ones_and_come_when_there_is_space(
    small, disk, empty, esm2, tmp_path
):
    proteins = random_proteins(900, low=5, high=10)
    few = write_fasta(tmp_path / "few.fasta", [("p", proteins[0])])
    many = write_fasta(tmp_path / "many.fasta", ((f"p{i}", p) for i, p in enumerate(proteins)))
    output = disk / "v.parquet"
    assert small.run("embed", few, "-m", esm2, "-o", output).code == 0
    older = contents(empty)
    command = ("embed", many, "-m", esm2, "-o", output)
    parts = {"inference__parts__PART_RECORDS": 300}
    fill(empty, leave=100_000)
    done = small.run(*command, **parts)
    assert says_full(done), done.err
    assert str(disk) in done.error
    left = {path.name for path in empty.iterdir()} - {"ballast"}
    assert {name: (empty / name).read_bytes() for name in older} == older
    assert all(name in older or name.endswith(".parts") for name in left), left
    (empty / "ballast").unlink()
    done = small.run(*command, **parts)
    assert done.code == 0, done.err
    assert pl.read_parquet(empty / "v.parquet").height == 900
    assert sorted(path.name for path in empty.iterdir()) == sorted(older)


# From no space at all, through that for a state or two, to where only the last files fail.
@pytest.mark.parametrize("leave", [0, 500_000, 3_500_000, 5_000_000])
def test_a_training_that_does_not_fit_goes_on_when_there_is_space(leave, small, disk, empty, table):
    command = (
        "finetune",
        table,
        "-o",
        disk / "new",
        "--seeds",
        1,
        "--epochs",
        2,
        "--dtype",
        "fp32",
    )
    fill(empty, leave)
    done = small.run(*command)
    assert says_full(done), done.err
    assert str(disk) in done.error
    assert {path.name for path in empty.iterdir()} <= {"ballast", ".new.unfinished"}
    (empty / "ballast").unlink()
    done = small.run(*command)
    assert done.code == 0, done.err
    assert [path.name for path in empty.iterdir()] == ["new"]
    assert set(KEPT) <= set(contents(empty / "new"))


def test_a_training_that_does_not_fit_leaves_the_run_that_it_was_to_replace(
    small, disk, empty, table, run
):
    shutil.copytree(run, empty / "run")
    older = contents(empty / "run")
    command = ("finetune", table, "-o", disk / "run", "--seeds", 1, "--epochs", 1, "--overwrite")
    fill(empty, leave=2_000_000)
    done = small.run(*command)
    assert says_full(done), done.err
    assert contents(empty / "run") == older
    assert small.run("predict", disk / "run", "MKTAYIAKQR").code == 0
    (empty / "ballast").unlink()
    done = small.run(*command)
    assert done.code == 0, done.err
    assert [path.name for path in empty.iterdir()] == ["run"]
    assert contents(empty / "run")["config.json"] != older["config.json"]
