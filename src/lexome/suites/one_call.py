"""One call at a time in an output folder: two would write each other's tables over."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lexome.errors import InputError
from lexome.results.files import translate_disk_errors

LOCK = ".evaluate.lock"


@contextmanager
def hold_folder(folder: Path) -> Iterator[None]:
    """The folder is this call's until the block ends, or its process does, killed or not.

    The lock is on an empty hidden file, which stays. Where a system or a disk knows no such locks,
    nothing is held.

    Raises:
        InputError: another call is at work in the folder.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    with translate_disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(
                str(folder),
                "another `lexome evaluate` at work there",
                "one at a time, for each writes results.csv and report.html",
                "another `--output`, or to wait until it ends",
            ) from error
        except OSError:  # a disk without locks
            pass
        yield
    finally:
        os.close(handle)
