"""A making that is killed anywhere, or finds the disk full, goes on to the same bytes."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands import ONE_THREAD, ROOT, SMALL_DISK
from tests.toy_shards import mutate, proteins
from tests.toys import write_fasta

# Run in a process of its own: forks one for every making, and kills it after a share of the time
# that a whole one takes; each try goes on from what the one before has left.
KILLER = """
import json, os, random, signal, sys, time
from pathlib import Path
from lexome.training.pretraining import corpus as making
from lexome.training.pretraining.recipe import DataRecipe

folder, tries = Path(sys.argv[1]), int(sys.argv[2])
recipe = DataRecipe(
    sources=("a.fasta", "b.fasta", "c.fasta"), exclude=("test.fasta",), heldout=0.1,
    similarity="kmers", identity=0.45, shard_residues=8000,
)

def start(name):
    process = os.fork()
    if process == 0:
        making.make_corpus(recipe, folder / name, folder, lambda what, text: None, quiet=True)
        os._exit(0)
    return process

def state(name):
    work = folder / name / ".unfinished"
    if (folder / name / "manifest.json").exists():
        return "whole"
    if any((folder / name).glob("train-*")):
        return "writing"
    if any((work / "similar").glob("*.npz")):
        return "searching"
    return "reading" if (work / "read.json").exists() else "nothing"

began = time.monotonic()
assert os.waitpid(start("whole"), 0)[1] == 0
seconds = time.monotonic() - began
random.seed(0)
seen = []
for number in range(tries):
    process = start("killed")
    time.sleep(seconds * 1.2 * (number + random.random()) / tries)
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    seen.append(state("killed"))
    if seen[-1] == "whole":
        break
assert os.waitpid(start("killed"), 0)[1] == 0
print(json.dumps(seen))
"""

# Run with a disk of 24 MB in sight, on which a file leaves so many bytes free.
FULL = """
import os, sys
from pathlib import Path
from lexome.errors import EnvironmentProblem
from lexome.training.pretraining.corpus import make_corpus
from lexome.training.pretraining.recipe import DataRecipe

folder, disk = Path(sys.argv[1]), Path(sys.argv[2])
sources = ("a.fasta", "b.fasta")

def make(where):
    recipe = DataRecipe(sources=sources, heldout=heldout, similarity="kmers", identity=0.45)
    return make_corpus(recipe, where, folder, lambda what, text: None, quiet=True)

for text in sys.argv[3:]:
    leave, heldout = int(text.split(":")[0]), float(text.split(":")[1])
    expected = make(folder / f"roomy{heldout}").fingerprint
    space = os.statvfs(disk)
    (disk / "ballast").write_bytes(b"x" * (space.f_bavail * space.f_frsize - leave))
    try:
        make(disk / f"corpus{leave}")
        print("fitted", leave)
    except EnvironmentProblem as problem:
        print(str(problem).replace(chr(10), " "))
    assert not (disk / f"corpus{leave}" / "manifest.json").exists()
    (disk / "ballast").unlink()
    assert make(disk / f"corpus{leave}").fingerprint == expected
    assert not (disk / f"corpus{leave}" / ".unfinished").exists()
    for path in (disk / f"corpus{leave}").iterdir():
        path.unlink()
"""


def run(*command: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        list(map(str, command)),
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | ONE_THREAD,
        timeout=200,
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_making_killed_again_and_again_ends_in_the_same_bytes(tmp_path):
    founders = proteins(120, low=150, high=250)
    for name, seed in (("a", 1), ("b", 2), ("c", 1)):  # c repeats a
        members = [mutate(f, 0.1 * seed, seed) for f in founders]
        write_fasta(tmp_path / f"{name}.fasta", ((f"{name}{i}", s) for i, s in enumerate(members)))
    write_fasta(tmp_path / "test.fasta", [("t", founders[0])])
    done = run(sys.executable, "-c", KILLER, tmp_path, 10)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert len(set(seen)) >= 2, f"the kills all fell at the same stage: {seen}"
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")
    assert len(contents(tmp_path / "whole")) > 10


def test_a_full_disk_is_said_to_be_full_at_every_stage_and_the_rest_is_made_later(tmp_path):
    if shutil.which("unshare") is None:
        pytest.skip("no unshare to mount a small disk with")
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run([*SMALL_DISK, str(disk), "true"], capture_output=True).returncode:
        pytest.skip("this machine does not let us mount a small disk")
    for name, seed in (("a", 1), ("b", 2)):
        sequences = proteins(1500, seed, low=300, high=400)
        write_fasta(
            tmp_path / f"{name}.fasta", ((f"{name}{i}", s) for i, s in enumerate(sequences))
        )
    # 1.05 MB of residues: spooled, written as text to search for kin of what is held out (the
    # number behind the colon, a share), then as a shard
    leaves = ["0:0.01", "300000:0", "1000000:0.01", "1400000:0", "2000000:0.01", "2150000:0"]
    done = run(*SMALL_DISK, disk, sys.executable, "-c", FULL, tmp_path, disk, *leaves)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == len(leaves)
    assert all("saw a full disk" in line and "bytes free in" in line for line in lines), lines
    places = {line.split(": saw")[0].rsplit("/", 1)[-1] for line in lines}
    assert {"00000.tokens", "targets.fasta", "train-00000.tokens"} <= places
