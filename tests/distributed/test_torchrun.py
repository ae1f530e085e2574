"""Two real processes under `torchrun`: the numbers of one, whatever is killed, saved or shared."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file

from lexome.training.pretraining.pretrain import pretrain
from tests.toy_pretraining import losses, read_log, unmeasured, write_recipe

ROOT = Path(__file__).resolve().parents[2]
NO_DATA = {"data.corpus": "nowhere", "data.sources": '["missing.fasta"]'}
# With dropout; measured in the middle, on the running mean of the weights, and gone on from there.
WATCHED = {
    "model.dropout": "0.2",
    "data.heldout": "0.2",
    "data.similarity": "kmers",
    "data.identity": "0.5",
    "watch.validate_every": "7",
}


def start(jobs: list[dict[str, Any]], folder: Path) -> None:
    """Do pre-trainings on two processes, one after the other; what is said goes to `said.txt`."""
    path = folder / "jobs.json"
    path.write_text(json.dumps(jobs, default=str))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    with (folder / "said.txt").open("w") as said:
        code = subprocess.call(
            [*command, "--max-restarts=1", ROOT / "tests/distributed/ranks_at_work.py", path],
            env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
            cwd=ROOT,
            stderr=subprocess.STDOUT,
            stdout=said,
        )
    assert code == 0, (folder / "said.txt").read_text()


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_recipe(tmp_path_factory.mktemp("recipe"))


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    with unmeasured():
        yield


@pytest.fixture(scope="module")
def runs(recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs on one process and on two, by name; one start of two processes does all of theirs."""
    folder = tmp_path_factory.mktemp("runs")

    def job(name: str, parallel: str = "ddp", **options: Any) -> dict[str, Any]:
        output = folder / name
        return {"recipe": recipe, "output": output, "device": "cpu", "parallel": parallel} | options

    watched = WATCHED | {"data.corpus": str(folder / "watched")}
    pretrain(**job("one"))
    pretrain(**job("one-watched", overrides=watched))
    pretrain(**job("one-then-two", stop_step=10))
    for name in ("full", "narrow"):
        shutil.copytree(folder / "one-then-two", folder / name)
    pretrain(**job("wide", stop_step=10, overrides={"model.ffn_width": "48"}))
    shutil.rmtree(folder / "narrow" / "state-000000010")
    (folder / "wide" / "state-000000010").rename(folder / "narrow" / "state-000000010")
    start(
        [
            job("ddp"),
            job("fsdp", "fsdp"),
            job("ddp-watched", overrides=watched),
            job("fsdp-watched", "fsdp", overrides=watched),
            job("one-then-two", "fsdp"),
            job("two-then-one", "fsdp", stop_step=10),
            job("full", stop_step=15, fail_save=1, fails=folder / "full-said"),
            job("narrow", "fsdp", fails=folder / "narrow-said"),
            job("no-data", fails=folder / "no-data-said", overrides=NO_DATA),
            job("killed", "fsdp", kill_at=12, overrides={"watch.save_seconds": "0.1"}),
        ],
        folder,
    )
    pretrain(**job("two-then-one"))
    pretrain(**job("full"))
    return folder


def assert_same_run(one: Path, other: Path) -> None:
    """The same log to 1e-5, line by line, and the same model."""
    assert len(losses(one)) == 20
    for expected, found in zip(read_log(one), read_log(other), strict=True):
        assert found.keys() == expected.keys()
        for key, value in expected.items():
            if key != "validation_accuracy_by_residue":
                assert found[key] == pytest.approx(value, abs=1e-5, rel=1e-5), key
    expected, found = (load_file(run / "model" / "model.safetensors") for run in (one, other))
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert found[name] == pytest.approx(tensor, abs=2e-4), name  # AdamW divides small by small


@pytest.mark.parametrize("how", ["ddp", "fsdp"])
@pytest.mark.parametrize("what", ["", "-watched"])
def test_two_processes_have_the_losses_of_one(runs: Path, how: str, what: str) -> None:
    assert_same_run(runs / f"one{what}", runs / f"{how}{what}")
    if what:  # else the comparison says nothing about it
        assert losses(runs / f"one{what}") != losses(runs / "one")


@pytest.mark.parametrize("name", ["one-then-two", "two-then-one"])
def test_a_state_goes_on_with_another_number_of_processes(runs: Path, name: str) -> None:
    assert_same_run(runs / "one", runs / name)


def test_a_process_that_cannot_save_stops_both_and_the_last_state_goes_on(runs: Path) -> None:
    for rank in (0, 1):
        said = (runs / f"full-said.{rank}").read_text()
        assert said.startswith("EnvironmentProblem: ")
        assert "saw a full disk" in said
    assert_same_run(runs / "one", runs / "full")


def test_a_state_of_another_shape_stops_both_processes_and_names_the_tensor(runs: Path) -> None:
    for rank in (0, 1):
        said = (runs / f"narrow-said.{rank}").read_text()
        assert said.startswith("CheckpointError: ")
        assert "network.network.blocks.0." in said
        assert "saw 48 x 16 (float32), expected 32 x 16 (float32)" in said


def test_what_one_process_finds_wrong_is_said_once_and_stops_both(runs: Path) -> None:
    said = [(runs / f"no-data-said.{rank}").read_text() for rank in (0, 1)]
    assert said[0].startswith("InputError: ")
    assert "missing.fasta: saw no such file" in said[0]
    assert said[1].startswith("EnvironmentProblem: process 1 of 2: saw that another one failed")


def test_a_killed_process_is_started_again_and_the_run_ends_with_the_same_numbers(
    runs: Path,
) -> None:
    assert (runs / "killed" / "killed").exists()
    assert "exitcode: -9" in (runs / "said.txt").read_text()
    assert_same_run(runs / "one", runs / "killed")
