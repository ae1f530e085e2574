"""Where the data of a suite lie: given, in `$LEXOME_SHARED`, or in a folder `shared` nearby."""

import os
import tomllib
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from lexome.errors import InputError


@cache
def read_tasks(suite: str) -> dict[str, Any]:
    """What `tasks/SUITE.toml` says: tasks, metrics, aggregation, published sources."""
    text = files("lexome.suites").joinpath("tasks", f"{suite}.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def shared_roots() -> list[Path]:
    """`$LEXOME_SHARED` where it is set; else `shared` beside this folder, or beside the project."""
    asked = os.environ.get("LEXOME_SHARED")
    if asked:
        return [Path(asked)]
    roots = [Path.cwd()]
    project = Path(__file__).resolve().parents[3]
    if (project / "pyproject.toml").is_file():  # an editable install; else this is site-packages
        roots.append(project)
    return [root.parent / "shared" for root in roots]


def folder_with(given: Path | None, inside: str, needed: Sequence[str]) -> Path | None:
    """The folder that holds all of some files: the one given, else `inside` of a shared folder."""
    tried = [given] if given else [root / inside for root in shared_roots()]
    whole = (folder for folder in tried if all((folder / one).is_file() for one in needed))
    return next(whole, None)


def find_folder(given: Path | None, inside: str, needed: str, suite: str) -> Path:
    """The folder that holds the file `needed`: the one given, else `inside` of a shared folder.

    Raises:
        InputError: there is none, or the given one lacks the file.
    """
    found = folder_with(given, inside, [needed])
    if found:
        return found
    tried = [given] if given else [root / inside for root in shared_roots()]
    raise InputError(
        f"data of {suite}",
        f"no {needed} in {' or '.join(map(str, tried))}",
        "a folder with the files of the suite",
        "--data DIR, or LEXOME_SHARED=FOLDER",
    )
