"""Where a run lies: beside its final place until it is whole, then there in one step."""

import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple

from lexome.errors import InputError
from lexome.results.files import translate_disk_errors, write_text
from lexome.training.identity import Identity, differences, known_to


class Run(NamedTuple):
    """A finished run."""

    directory: Path
    report: Path
    facts: dict[str, Any]  # run.json
    metrics: dict[str, Any]  # metrics.json

    def figure(self, metric: str, part: str = "test", model: str | None = None) -> float:
        """One metric of one model; of the one that `lexome predict` uses where none is named."""
        name = model or self.metrics["chosen"]
        entry = next(m for m in self.metrics["models"] if m["name"] == name)
        return float(entry["parts"][part][metric]["value"])


def read_run(directory: Path) -> Run:
    """A finished run, read back."""
    facts = json.loads((directory / "run.json").read_text(encoding="utf-8"))
    metrics = json.loads((directory / "metrics.json").read_text(encoding="utf-8"))
    return Run(directory, directory / "report.html", facts, metrics)


def already_done(output: Path, identity: Identity, overwrite: bool) -> Run | None:
    """The finished run at `output` where it is this very run; None where the place is free.

    Raises:
        InputError: another run or other files stand there.
    """
    if not output.exists():
        return None
    found = _read_if_run(output)
    if found is not None:
        theirs = found.facts.get("identity", {})
        if theirs and known_to(theirs) == known_to(identity):
            return found
        what = f"another run ({_told(theirs, identity)})"
    elif output.is_dir() and not any(output.iterdir()):
        return None
    else:
        what = "files that are no run of Lexome"
    if overwrite and found is not None:
        return None
    raise InputError(
        str(output), what, "a new directory", "another `--output`, or `--overwrite` for a run"
    )


def _read_if_run(directory: Path) -> Run | None:
    """The finished run of a directory; None for a directory or file that is something else."""
    try:
        found = read_run(directory)
    except (OSError, ValueError):
        return None
    is_run = isinstance(found.facts, dict) and "fingerprint" in found.facts
    return found if is_run else None


def unfinished_folder(output: Path) -> Path:
    """Where a run lies until it is finished."""
    return output.parent / f".{output.name}.unfinished"


def open_folder(output: Path, identity: Identity, overwrite: bool) -> Path:
    """The folder to work in, with what an earlier, killed start of the same run left there.

    Raises:
        InputError: an unfinished run that is another one stands there.
    """
    folder = unfinished_folder(output)
    mark = folder / "fingerprint.txt"  # holds the identity
    with translate_disk_errors(folder):
        if folder.exists() and (not mark.exists() or not _is_same(mark, identity)):
            if mark.exists() and not overwrite:
                theirs = _read_identity(mark)
                raise InputError(
                    str(folder),
                    f"an unfinished run with {_told(theirs, identity)}",
                    "this run's own",
                    f"{_way_on(theirs, identity)}, or `--overwrite` to give it up",
                )
            shutil.rmtree(folder)
        folder.mkdir(parents=True, exist_ok=True)
        if not mark.exists():
            write_text(mark, json.dumps(identity))
    return folder


def _told(theirs: Identity, ours: Identity) -> str:
    return differences(theirs, ours) or "other data, split or settings"


def _way_on(theirs: Identity, ours: Identity) -> str:
    """How an unfinished run can be finished."""
    others = {name for name in ours if theirs.get(name) != ours[name]}
    if "device" in others and others <= {"device", "dtype"} and theirs:
        return f"`--device {theirs['device']}` to go on with it"
    return "the earlier command to finish it"


def _is_same(mark: Path, identity: Identity) -> bool:
    theirs = _read_identity(mark)
    return bool(theirs) and known_to(theirs) == known_to(identity)


def _read_identity(mark: Path) -> Identity:
    """What a mark says; nothing where it is not one of ours."""
    try:
        found = json.loads(mark.read_text(encoding="utf-8"))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def move_into_place(folder: Path, output: Path) -> None:
    """The finished folder takes the place of `output` in one step, and is then tidied.

    The other way round, a kill between the two steps would cost the states of the training.
    """
    old = output.parent / f".{output.name}.old"  # also of a run killed between these steps
    shutil.rmtree(old, ignore_errors=True)
    if output.exists():
        output.rename(old)
    folder.rename(output)
    shutil.rmtree(old, ignore_errors=True)
    tidy(output)


def tidy(output: Path) -> None:
    """Remove what only the work needed; where it was still there, also what kills left behind."""
    if not (output / "fingerprint.txt").exists():
        return
    for path in sorted(output.iterdir(), key=lambda path: path.name == "fingerprint.txt"):
        if path.name.startswith(("state-", "features.", "fingerprint.txt", ".")):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
