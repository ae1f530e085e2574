"""SHA-256 of weight files; of large ones it is remembered while the file stays as it is."""

import hashlib
import json
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from lexome.errors import EnvironmentProblem
from lexome.io.download import cache_folder
from lexome.results.files import hash_file, write_json

LARGE_BYTES = 64 << 20  # what takes a tenth of a second to hash
# A file that has just been written could be written again within one tick of the clock.
SETTLED_SECONDS = 2.0


def hash_weights(paths: Sequence[Path]) -> str:
    """SHA-256 of a weight file; of several, over their hashes in this order."""
    hashes = [hash_unchanged(path) for path in paths]
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()


def hash_unchanged(path: Path) -> str:
    """SHA-256 of a file, read anew only where size, times or place on the disk have changed.

    The time of the last change of its inode is among them, which no program can set back.
    """
    if path.stat().st_size < LARGE_BYTES:
        return hash_file(path)
    note, state = _note_path(path), _state(path)
    known = _read(note)
    if known.get("state") == state and isinstance(known.get("sha256"), str):
        return str(known["sha256"])
    found = hash_file(path)
    settled = time.time_ns() - path.stat().st_ctime_ns > SETTLED_SECONDS * 1e9
    if settled and _state(path) == state:
        with suppress(OSError, EnvironmentProblem):  # a home that cannot be written: hashed again
            note.parent.mkdir(parents=True, exist_ok=True)
            write_json(note, {"path": str(path.resolve()), "state": state, "sha256": found})
    return found


def _state(path: Path) -> list[int]:
    found = path.stat()
    return [found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns]


def _note_path(path: Path) -> Path:
    name = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:32]
    return cache_folder("hashes") / "files" / f"{name}.json"


def _read(note: Path) -> dict[str, object]:
    try:
        found = json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
