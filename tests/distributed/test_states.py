"""Saved states: the last good one always loads, and what is no state is refused without harm."""

import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributed.checkpoint import filesystem
from torch.distributed.checkpoint.metadata import BytesStorageMetadata, Metadata

from lexome.distributed import states
from lexome.distributed.ranks import Ranks
from lexome.distributed.states import load_state, save_state
from lexome.errors import CheckpointError, EnvironmentProblem
from tests.commands import SMALL_DISK

ALONE = Ranks(0, 1, "cpu")


class Job:
    """A network with an optimiser, a running mean and a step; `width` decides its shape."""

    def __init__(self, seed: int, width: int = 3) -> None:
        torch.manual_seed(seed)
        self.network = nn.Linear(4, width)
        self.optimizers: list[torch.optim.Optimizer] = [
            torch.optim.AdamW(self.network.parameters(), lr=0.1)
        ]
        self.extra = {"step": torch.tensor(0), "average.weight": torch.randn(width, 4)}

    def train(self) -> "Job":
        """One step."""
        self.network(torch.ones(4)).square().sum().backward()
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad()
        self.extra["step"] += 1
        return self

    def save(self, folder: Path) -> None:
        """The state of this step."""
        step = int(self.extra["step"])
        save_state(folder, step, self.network, self.optimizers, self.extra, ALONE)

    def load(self, folder: Path) -> bool:
        """The last good state."""
        return load_state(folder, self.network, self.optimizers, self.extra, ALONE)

    def tensors(self) -> list[Tensor]:
        """All that a state holds, the optimiser's moments among it."""
        moments = [v for o in self.optimizers for s in o.state.values() for v in s.values()]
        return [
            t.detach().clone() for t in (*self.network.parameters(), *moments, *self.extra.values())
        ]


def same(one: Job, other: Job) -> bool:
    pairs = zip(one.tensors(), other.tensors(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


@pytest.fixture
def saved(tmp_path: Path) -> Job:
    """A job whose second step was saved in `tmp_path`."""
    job = Job(seed=1).train().train()
    job.save(tmp_path)
    return job


def contents_of(folder: Path) -> Path:
    return next(folder.glob("state-*")) / ".metadata"


def test_a_state_comes_back_bit_for_bit_and_goes_on_the_same(saved: Job, tmp_path: Path) -> None:
    other = Job(seed=2)
    assert other.load(tmp_path)
    assert same(saved, other)
    assert int(other.extra["step"]) == 2
    assert same(saved.train(), other.train())


def test_there_is_nothing_to_load_in_a_new_folder(tmp_path: Path) -> None:
    job = Job(seed=1)
    before = job.tensors()
    assert job.load(tmp_path) is False
    assert all(torch.equal(a, b) for a, b in zip(before, job.tensors(), strict=True))


def test_a_newer_state_takes_the_place_of_the_older_one(saved: Job, tmp_path: Path) -> None:
    saved.train().save(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["latest.txt", "state-000000003"]
    other = Job(seed=2)
    other.load(tmp_path)
    assert same(saved, other)


def test_saving_a_step_again_never_touches_the_state_that_is_pointed_to(
    saved: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: Any, **keywords: Any) -> None:
        raise AssertionError("the only good state was about to be written over")

    monkeypatch.setattr(states, "save", refuse)
    monkeypatch.setattr(shutil, "rmtree", refuse)
    saved.save(tmp_path)


class Killed(BaseException):
    """What a test raises for a SIGKILL: no handler of errors may take it."""


def killing(times: int, do: Callable[..., Any]) -> Callable[..., Any]:
    """`do`, which is killed before its last of so many calls."""
    left = [times]

    def do_or_die(*args: Any, **keywords: Any) -> Any:
        left[0] -= 1
        if not left[0]:
            raise Killed
        return do(*args, **keywords)

    return do_or_die


@pytest.mark.parametrize(
    ("module", "name", "times", "step"),
    [
        (filesystem, "_write_item", 1, 2),  # before the first tensor
        (filesystem, "_write_item", 4, 2),  # in the middle
        (filesystem.FileSystem, "rename", 1, 2),  # before the table of contents has its name
        (states, "write_text", 1, 2),  # before the new state is pointed to
        (shutil, "rmtree", 1, 3),  # before the older one is removed
    ],
)
def test_a_kill_at_any_moment_of_saving_leaves_a_good_state(
    saved: Job,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    module: Any,
    name: str,
    times: int,
    step: int,
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(module, name, killing(times, getattr(module, name)))
        with pytest.raises(Killed):
            saved.train().save(tmp_path)
    other = Job(seed=2)
    assert other.load(tmp_path)
    assert int(other.extra["step"]) == step
    while int(other.extra["step"]) < 4:  # through the step whose saving was killed
        other.train().save(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["latest.txt", "state-000000004"]
    assert Job(seed=3).load(tmp_path)
    assert same(saved.train(), other)


FILLING = """
import sys, os
from pathlib import Path
from tests.distributed.test_states import Job
from lexome.errors import EnvironmentProblem

folder = Path(sys.argv[1])
job = Job(seed=1, width=5000).train().train()
job.save(folder)
refused = 0
for leave in (0, 9_000, 200_000, 300_000):
    space = os.statvfs(folder)
    free = space.f_bavail * space.f_frsize
    (folder / "ballast").write_bytes(b"x" * (free - leave))
    try:
        Job(seed=1, width=5000).train().train().train().save(folder)
    except EnvironmentProblem as problem:
        assert "saw a full disk" in str(problem), problem
        refused += 1
    (folder / "ballast").unlink()
    other = Job(seed=2, width=5000)
    assert other.load(folder)
    assert int(other.extra["step"]) == 2, other.extra["step"]
    assert sorted(p.name for p in folder.iterdir()) == ["latest.txt", "state-000000002"]
job.train().save(folder)
print(refused, "times refused")
"""


def test_a_full_disk_is_said_and_leaves_the_last_state(tmp_path: Path) -> None:
    if shutil.which("unshare") is None:
        pytest.skip("no unshare to mount a small disk with")
    if subprocess.run([*SMALL_DISK, str(tmp_path), "true"], capture_output=True).returncode:
        pytest.skip("this machine does not let us mount a small disk")
    done = subprocess.run(
        [*SMALL_DISK, str(tmp_path), sys.executable, "-c", FILLING, str(tmp_path)],
        cwd=Path(__file__).resolve().parents[2],
        env=os.environ | {"PYTHONPATH": "."},
        capture_output=True,
        text=True,
    )
    assert done.stdout == "4 times refused\n", done.stderr


def test_no_permission_to_write_is_said(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file where the folder should be")
    with pytest.raises(EnvironmentProblem, match="saw a file where a folder should be"):
        Job(seed=1).train().save(tmp_path / "run")


def test_a_state_of_another_shape_is_refused_by_the_name_of_the_tensor(
    saved: Job, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError) as found:
        Job(seed=2, width=5).load(tmp_path)
    assert found.value.where.endswith("state-000000002, network.weight")
    assert found.value.seen == "3 x 4 (float32)"
    assert found.value.expected == "5 x 4 (float32)"


@pytest.mark.parametrize(("more", "seen"), [(True, "no such tensor"), (False, "3 x 4 (float32)")])
def test_a_tensor_too_many_or_too_few_is_refused_by_its_name(
    saved: Job, tmp_path: Path, more: bool, seen: str
) -> None:
    other = Job(seed=2)
    if more:
        other.extra["average.more"] = torch.zeros(3, 4)
    else:
        del other.extra["average.weight"]
    with pytest.raises(CheckpointError) as found:
        other.load(tmp_path)
    assert found.value.where.endswith("extra.average.more" if more else "extra.average.weight")
    assert found.value.seen == seen


class Harm:
    """Unpickled without care, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("within", [False, True])
def test_a_hostile_table_of_contents_is_refused_and_does_nothing(
    saved: Job, tmp_path: Path, within: bool
) -> None:
    path = contents_of(tmp_path)
    harm: object = Harm(tmp_path / "harm")
    if within:  # among what is right
        contents = pickle.loads(path.read_bytes())
        contents.planner_data = harm
        harm = contents
    path.write_bytes(pickle.dumps(harm))
    shutil.copy(path, path.with_name("__0.metadata"))  # where DCP looks next
    with pytest.raises(CheckpointError, match=r"saw (posix|nt)\.system, which loading would call"):
        Job(seed=2).load(tmp_path)
    assert not (tmp_path / "harm").exists()
    pickle.loads(path.read_bytes())
    assert (tmp_path / "harm").exists(), "the table does no harm to anybody: this test says nothing"


@pytest.mark.parametrize("name", ["FileSystem", "FileSystemWriter", "_StorageReaderTransforms"])
def test_only_records_of_tensors_may_be_named(saved: Job, tmp_path: Path, name: str) -> None:
    contents_of(tmp_path).write_bytes(pickle.dumps(getattr(filesystem, name)))
    with pytest.raises(CheckpointError, match=rf"{name}, which loading would call"):
        Job(seed=2).load(tmp_path)


@pytest.mark.parametrize("place", ["/etc/hostname", "../../secret"])
def test_a_tensor_in_a_file_elsewhere_is_refused(saved: Job, tmp_path: Path, place: str) -> None:
    path = contents_of(tmp_path)
    contents: Metadata = pickle.loads(path.read_bytes())
    next(iter(contents.storage_data.values())).relative_path = place
    path.write_bytes(pickle.dumps(contents))
    with pytest.raises(CheckpointError, match="expected tensors in files beside it"):
        Job(seed=2).load(tmp_path)


def test_what_dcp_would_unpickle_itself_is_refused(saved: Job, tmp_path: Path) -> None:
    path = contents_of(tmp_path)
    contents: Metadata = pickle.loads(path.read_bytes())
    contents.state_dict_metadata["extra.step"] = BytesStorageMetadata()
    path.write_bytes(pickle.dumps(contents))
    with pytest.raises(CheckpointError, match="BytesStorageMetadata, which loading would call"):
        Job(seed=2).load(tmp_path)


@pytest.mark.parametrize("name", [".metadata", "__0_0.distcp"])
@pytest.mark.parametrize("how", ["empty", "half", "missing", "noise", "one byte off"])
def test_a_damaged_state_is_a_clear_error(saved: Job, tmp_path: Path, name: str, how: str) -> None:
    path = contents_of(tmp_path).with_name(name)
    whole = path.read_bytes()
    middle = whole.find(saved.network.weight.detach().numpy().tobytes())
    if how == "one byte off" and middle < 0:
        return  # the table of contents is not hashed: any change that can be read is a state
    off = bytes([whole[middle] ^ 64])
    damaged = {
        "empty": b"",
        "half": whole[: len(whole) // 2],
        "noise": b"\x80\x04noise" * 9,
        "one byte off": whole[:middle] + off + whole[middle + 1 :],
    }
    path.unlink() if how == "missing" else path.write_bytes(damaged[how])
    with pytest.raises(CheckpointError, match=r"state-000000002.*expected .*\. Try "):
        Job(seed=2).load(tmp_path)


@pytest.mark.parametrize("text", ["", "state-12", "../other/state-000000002", "\xff"])
def test_a_damaged_pointer_is_a_clear_error(saved: Job, tmp_path: Path, text: str) -> None:
    (tmp_path / "latest.txt").write_text(text, encoding="latin-1")
    with pytest.raises(CheckpointError, match=r"latest\.txt"):
        Job(seed=2).load(tmp_path)
