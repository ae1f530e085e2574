"""Files: whole or not at all, and the disk's refusals in our words."""

import dataclasses
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from lexome.errors import EnvironmentProblem, InputError
from lexome.results.files import (
    atomic_path,
    json_text,
    translate_disk_errors,
    write_json,
    write_text,
)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_whole_with_its_ending_kept_on_the_way(tmp_path):
    path = tmp_path / "new" / "folder" / "scores.csv.gz"
    with atomic_path(path) as temporary:
        assert temporary.parent == path.parent
        assert temporary.name.endswith(".csv.gz")
        temporary.write_text("one")
        assert not path.exists()
    assert path.read_text() == "one"
    assert names(path.parent) == ["scores.csv.gz"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_failure_leaves_the_older_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "t.txt"
    write_text(path, "older")

    def fail() -> None:
        with atomic_path(path) as temporary:
            temporary.write_text("half of the new")
            raise error

    with pytest.raises(error):
        fail()
    assert path.read_text() == "older"
    assert names(tmp_path) == ["t.txt"]


def test_the_umask_decides_who_may_read_the_result(tmp_path):
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "t.txt", "x")
    finally:
        os.umask(before)
    assert (tmp_path / "t.txt").stat().st_mode & 0o777 == 0o640


def test_a_link_stays_a_link_to_the_new_content(tmp_path):
    (tmp_path / "link.txt").symlink_to(tmp_path / "target.txt")
    write_text(tmp_path / "link.txt", "new")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "target.txt").read_text() == "new"


def test_a_pipe_is_written_to_and_not_replaced(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    write_text(pipe, "through")
    reader.join()
    assert read == ["through"]
    assert pipe.is_fifo()


def test_a_folder_is_no_place_for_a_file(tmp_path):
    with pytest.raises(InputError, match="saw a folder, expected the name of a file"):
        write_text(tmp_path, "x")


def test_a_file_where_a_folder_should_be_is_said(tmp_path):
    write_text(tmp_path / "file", "x")
    with pytest.raises(EnvironmentProblem, match="saw a file where a folder should be"):
        write_text(tmp_path / "file" / "t.txt", "x")


def test_a_forbidden_folder_is_said(tmp_path):
    folder = tmp_path / "closed"
    folder.mkdir()
    folder.chmod(0o500)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)  # root may write everywhere; nobody may not
    try:
        with pytest.raises(EnvironmentProblem, match="saw no permission"):
            write_text(folder / "t.txt", "x")
    finally:
        os.seteuid(user)


def test_what_a_killed_run_left_is_swept_by_the_next_but_not_a_file_in_use(tmp_path):
    path = tmp_path / "t.txt"
    code = (
        "import sys, time; from pathlib import Path; from lexome.results.files import atomic_path\n"
        "with atomic_path(Path(sys.argv[1])) as temporary:\n"
        "    temporary.write_text('half'); print('ready', flush=True); time.sleep(60)"
    )
    run = subprocess.Popen([sys.executable, "-c", code, path], stdout=subprocess.PIPE)
    with run:
        assert run.stdout.readline() == b"ready\n"
        write_text(path, "mine")
        assert len(names(tmp_path)) == 2  # the other run's file is in use
        run.send_signal(signal.SIGKILL)
    assert path.read_text() == "mine"
    write_text(path, "mine again")
    assert names(tmp_path) == ["t.txt"]


class ShouldLookLikeSafetensorError(Exception):
    pass


@pytest.mark.parametrize(
    ("error", "seen"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "a full disk"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "a used-up disk quota"),
        (OSError(errno.EROFS, "Read-only file system"), "a read-only disk"),
        (PermissionError(errno.EACCES, "Permission denied"), "no permission"),
        (OSError("[Errno 28] Error writing bytes to file. Detail: [errno 28] No space"), "a full disk"),
        (ShouldLookLikeSafetensorError("I/O error: No space left on device (os error 28)"), "a full disk"),
        (RuntimeError("Read-only file system (os error 30)"), "a read-only disk"),
        (RuntimeError("[enforce fail at inline_container.cc:668] . PytorchStreamWriter failed writing file data/0: file write failed"), "a full disk"),
        (OSError("65536 requested and 1024 written"), "a full disk"),
        (RuntimeError("IO error: no space left on device"), "a full disk"),
    ],
)  # fmt: skip
def test_refusals_of_the_disk_are_known_in_every_wording(tmp_path, error, seen):
    with pytest.raises(EnvironmentProblem) as caught, translate_disk_errors(tmp_path / "t.bin"):
        raise error
    assert caught.value.where == str(tmp_path / "t.bin")
    assert caught.value.seen == seen
    assert f"bytes free in {tmp_path}" in caught.value.expected


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOENT, "No such file or directory"),
        KeyError("no space left on device"),
        RuntimeError("CUDA out of memory"),
        EnvironmentProblem("x", "a full disk (os error 28)", "y", "z"),
    ],
)
def test_other_errors_pass_untouched(tmp_path, error):
    with pytest.raises(type(error)) as caught, translate_disk_errors(tmp_path / "t.bin"):
        raise error
    assert caught.value is error


def test_an_input_that_cannot_be_read_meanwhile_is_named_instead_of_the_output(tmp_path):
    with pytest.raises(EnvironmentProblem) as caught, atomic_path(tmp_path / "out.csv"):
        raise PermissionError(errno.EACCES, "Permission denied", "/data/in.csv")
    assert caught.value.where == "/data/in.csv"


WRITERS = {
    "text": "temporary.write_text('x' * 3_000_000)",
    "pyarrow": "import pyarrow as pa, pyarrow.parquet as pq, os\n"
    "    pq.write_table(pa.table({'a': [os.urandom(3_000_000)]}), temporary)",
    "polars": "import polars as pl\n    pl.DataFrame({'a': ['x' * 3_000_000]}).write_csv(temporary)",
    "safetensors": "import numpy as np; from safetensors.numpy import save_file\n"
    "    save_file({'a': np.zeros(3_000_000, np.int8)}, temporary)",
    "numpy": "import numpy as np\n"
    "    with temporary.open('wb') as file: np.save(file, np.zeros(3_000_000, np.int8))",
}


SMALL_DISK = ["unshare", "-rm", "sh", "-c", 'mount -t tmpfs -o size=1m tmpfs "$0" && exec "$@"']


def what_is_said(folder: Path, writer: str, setup: str = "", within: tuple[str, ...] = ()) -> str:
    """What a program prints that overwrites a file, by this writer, where there is no space."""
    code = (
        f"{setup}\n"
        "import sys; from pathlib import Path; from lexome.results.files import *\n"
        "from lexome.errors import EnvironmentProblem\n"
        "folder = Path(sys.argv[1]); path = folder / 'out.bin'; write_text(path, 'older')\n"
        "try:\n"
        f"  with atomic_path(path) as temporary:\n    {WRITERS[writer]}\n"
        "except EnvironmentProblem as error: print(error)\n"
        "print([path.name for path in folder.iterdir()], path.read_text())"
    )
    command = [*within, sys.executable, "-c", code, folder]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stdout + done.stderr


@pytest.mark.parametrize("writer", WRITERS)
def test_a_file_that_may_not_grow_is_refused_by_every_writer_in_our_words(tmp_path, writer):
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))"
    said = what_is_said(tmp_path, writer, limit)
    # numpy's tofile gives no reason but that the write was short, which is taken for a full disk
    assert "saw a file larger than allowed" in said or "saw a full disk" in said
    assert said.endswith("['out.bin'] older\n")


@pytest.mark.skipif(shutil.which("unshare") is None, reason="no unshare to mount a small disk with")
@pytest.mark.parametrize("writer", WRITERS)
def test_a_really_full_disk_is_refused_by_every_writer_in_our_words(tmp_path, writer):
    within = (*SMALL_DISK, str(tmp_path))
    if subprocess.run([*within, "true"], capture_output=True).returncode:
        pytest.skip("this machine does not let us mount a small disk")
    said = what_is_said(tmp_path, writer, within=within)
    assert f"{tmp_path}/out.bin: saw a full disk, expected to be able to write there (" in said
    assert said.endswith("['out.bin'] older\n")


@dataclasses.dataclass
class Settings:
    rate: float


def test_values_of_every_kind_become_json(tmp_path):
    value = {
        "path": Path("a/b"),
        1: (np.float32(0.5), np.arange(2), np.int64(3), {4}),
        "none": [float("nan"), float("inf"), None],
        "settings": Settings(0.1),
        "text": "é",
    }
    write_json(tmp_path / "t.json", value)
    text = (tmp_path / "t.json").read_text(encoding="utf-8")
    assert json.loads(text) == {
        "path": "a/b",
        "1": [0.5, [0, 1], 3, [4]],
        "none": [None, None, None],
        "settings": {"rate": 0.1},
        "text": "é",
    }
    assert "é" in text
    assert json_text({"a": [1]}) == '{"a": [1]}'
