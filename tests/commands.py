"""Runs the `lexome` command: in this process, in one of its own, or forked from a warm start.

Starting Python with torch takes seconds. A `WarmStart` pays them once: it is a process that has
imported everything and forks a real process for every command, which may then really be killed.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
ONE_THREAD = {"OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1", "LEXOME_DEBUG": ""}
ERROR = re.compile(r"error: .+: saw .+, expected .+\. Try .+\.")
# a small disk at the path that follows; what comes after that path runs with it in sight
SMALL_DISK = ["unshare", "-rm", "sh", "-c", 'mount -t tmpfs -o size=24m tmpfs "$0" && exec "$@"']


class Finished(NamedTuple):
    """What a command left behind; `code` is negative where a signal ended it."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one error line; asserts that it is one, in four parts, the last, without traceback."""
        lines = self.err.splitlines()
        assert "Traceback" not in self.err, self.err
        assert sum(line.startswith("error:") for line in lines) == 1, self.err
        assert ERROR.fullmatch(lines[-1]), lines[-1]
        return lines[-1]


def call_main(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *args: object
) -> Finished:
    """The command in this process."""
    from lexome.cli.main import main

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    monkeypatch.setattr(sys, "argv", ["lexome", *map(str, args)])
    monkeypatch.delenv("LEXOME_DEBUG", raising=False)
    capsys.readouterr()
    try:
        with pytest.raises(SystemExit) as stop:
            main()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    told = capsys.readouterr()
    assert isinstance(stop.value.code, int)
    return Finished(stop.value.code, told.out, told.err)


def start_process(*args: object) -> "subprocess.Popen[str]":
    """The real command, as a shell would start it."""
    return subprocess.Popen(
        [sys.executable, "-m", "lexome.cli.main", *map(str, args)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=os.environ | ONE_THREAD,
    )


def run_process(*args: object) -> Finished:
    """The real command, from its start to its end."""
    with start_process(*args) as process:
        out, err = process.communicate(timeout=300)
    return Finished(process.returncode, out, err)


class WarmStart:
    """A process that forks one for every command; `folder` holds what they print."""

    def __init__(self, folder: Path, within: Sequence[str] = ()) -> None:
        self.folder = folder
        command = [*within, sys.executable, "-m", "tests.commands"]
        self.server = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=os.environ | ONE_THREAD,
        )
        told = self._read()
        if told != "ready":
            self.close()
        assert told == "ready", "the warm start did not come up; its stderr says why"

    def start(self, *args: object, **patches: Any) -> int:
        """Start a command; `patches` are values for `module__NAME`. Returns its process id."""
        order = {"args": list(map(str, args)), "patches": patches, "folder": str(self.folder)}
        self._tell(json.dumps(order))
        return int(self._read())

    def wait(self) -> Finished:
        """The end of the command that runs."""
        self._tell("wait")
        code = int(self._read())
        return Finished(
            code, (self.folder / "out.txt").read_text(), (self.folder / "err.txt").read_text()
        )

    def run(self, *args: object, **patches: Any) -> Finished:
        """A command from start to end."""
        self.start(*args, **patches)
        return self.wait()

    def run_and_signal(
        self, number: signal.Signals, seconds: float, *args: object, **patches: Any
    ) -> Finished:
        """A command that gets a signal after some seconds, if it still runs then."""
        process = self.start(*args, **patches)
        time.sleep(seconds)
        os.kill(process, number)
        return self.wait()

    def sees(self, path: Path) -> Path:
        """A path as the commands see it, mounts of their own included."""
        return Path(f"/proc/{self.server.pid}/root{path}")

    def close(self) -> None:
        """End the server."""
        assert self.server.stdin is not None
        self.server.stdin.close()
        self.server.wait()
        assert self.server.stdout is not None
        self.server.stdout.close()

    def _tell(self, line: str) -> None:
        assert self.server.stdin is not None
        self.server.stdin.write(line + "\n")
        self.server.stdin.flush()

    def _read(self) -> str:
        assert self.server.stdout is not None
        return self.server.stdout.readline().strip()


@contextmanager
def warm_start(folder: Path, within: Sequence[str] = ()) -> Iterator[WarmStart]:
    """A warm start that ends with the block."""
    start = WarmStart(folder, within)
    try:
        yield start
    finally:
        start.close()


def serve() -> None:
    """What the warm process does: one forked command a line of stdin; tells its id, then its code."""
    modules = ["torch._dynamo", "lexome.training.finetune", "lexome.training.predict"]
    modules += ["lexome.inference.embed_file", "lexome.inference.embed_alignments"]
    modules += ["lexome.generation.generate_file", "lexome.scoring.score_file"]
    modules += ["lexome.cli.main", "matplotlib.figure"]
    for module in modules:
        import_module(module)
    print("ready", flush=True)
    while line := sys.stdin.readline():
        order = json.loads(line)
        process = os.fork()
        if process == 0:
            _become_command(order)
        print(process, flush=True)
        # until asked, an ended child stays a zombie: its id is its own, and a signal finds it
        assert sys.stdin.readline() == "wait\n"
        print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)


def _become_command(order: dict[str, Any]) -> None:
    code = 99
    try:
        folder = Path(order["folder"])
        for number, name in ((1, "out.txt"), (2, "err.txt")):
            os.dup2(os.open(folder / name, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o644), number)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for place, value in order["patches"].items():
            module, _, name = place.rpartition("__")
            setattr(import_module("lexome." + module.replace("__", ".")), name, value)
        sys.argv = ["lexome", *order["args"]]
        from lexome.cli.main import main

        main()
    except SystemExit as stop:
        code = int(stop.code or 0)
        sys.stdout.flush()
    finally:
        os._exit(code)


if __name__ == "__main__":
    serve()
