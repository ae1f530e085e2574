"""The environment is made from any Python that will do, and every dependency has a tried version."""

import os
import re
import subprocess
import sys
import tomllib

from tests.house.sources import PROJECT

PIN = re.compile(r"([A-Za-z0-9._-]+)==([0-9][0-9a-z.]*)")


def plain(name: str) -> str:
    """A package name as pip compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_dependency_has_one_exact_version_in_the_constraints() -> None:
    lines = (PROJECT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [PIN.fullmatch(line) for line in lines if line and not line.startswith("#")]
    assert all(pins), "a line is not NAME==VERSION (no paths, no +cpu)"
    pinned = [plain(pin[1]) for pin in pins if pin]
    assert len(pinned) == len(set(pinned))
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    names = {plain(re.split(r"[\[<>=!~; ]", requirement)[0]) for requirement in wanted}
    assert names <= set(pinned), f"pin {names - set(pinned)}"


def make_venv(**environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", str(PROJECT / ".ci" / "make-venv"), "/nonexistent/folder/venv"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_a_machine_without_python_is_told_what_to_do(tmp_path) -> None:
    done = make_venv(PATH=str(tmp_path))
    assert done.returncode == 2
    assert "expected Python 3.11 or later. Try make PYTHON=" in done.stderr


def test_an_old_python_is_named_with_its_version(tmp_path) -> None:
    old = tmp_path / "python3"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.8.1" && exit 0\nexit 1\n')
    old.chmod(0o755)
    for done in (make_venv(PATH=str(tmp_path)), make_venv(PATH="/none", PYTHON=str(old))):
        assert done.returncode == 2
        assert "saw Python 3.8.1, expected Python 3.11 or later" in done.stderr


def test_a_python_without_venv_is_told_apart_from_an_old_one(tmp_path) -> None:
    bare = tmp_path / "python3"
    bare.write_text('#!/bin/sh\ncase "$2" in *ensurepip*) exit 1;; esac\nexit 0\n')
    bare.chmod(0o755)
    done = make_venv(PATH=str(tmp_path))
    assert done.returncode == 2
    assert "saw no module venv or ensurepip" in done.stderr
    assert "python3-venv" in done.stderr


def test_a_venv_that_cannot_be_made_is_an_error_with_pythons_own_words(tmp_path) -> None:
    blocked = tmp_path / "a_file"
    blocked.touch()
    done = subprocess.run(
        ["/bin/sh", str(PROJECT / ".ci" / "make-venv"), str(blocked / "venv")],
        env={"PATH": os.environ["PATH"], "PYTHON": sys.executable},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    assert "could not be made with" in done.stderr
