"""Writes a file whole or not at all, and says plainly when the disk is what failed."""

import dataclasses
import errno
import hashlib
import json
import math
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from lexome.errors import EnvironmentProblem, InputError

# What the machine can refuse, by number: what is said, and what mends it.
DISK_REFUSALS = {
    errno.ENOSPC: ("a full disk", "freeing space there, or another disk"),
    errno.EDQUOT: ("a used-up disk quota", "deleting files of yours there, or another disk"),
    errno.EFBIG: ("a file larger than allowed", "raising `ulimit -f`, or another disk"),
    errno.EACCES: ("no permission", "another folder, or changing its permissions"),
    errno.EPERM: ("no permission", "another folder, or changing its permissions"),
    errno.EROFS: ("a read-only disk", "a folder on a disk that can be written"),
    errno.EIO: ("a failing disk (input/output error)", "another disk"),
    errno.ENOTDIR: ("a file where a folder should be", "another folder"),
    errno.ENAMETOOLONG: ("too long a name", "a shorter one"),
}
# pyarrow, polars and safetensors give the number or the words inside a text.
NUMBER_IN_TEXT = re.compile(r"(?:os error|errno) (\d+)")
WORDS_IN_TEXT = {os.strerror(number).lower(): number for number in DISK_REFUSALS}
# numpy.save and torch.save say only that a write came up short: that is how a full disk looks.
SHORT_WRITE = re.compile(
    r"\d+ requested and \d+ written|file write failed|unexpected pos \d+ vs \d+"
)
MARK = "lexome-part"  # in the name of every temporary file


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary name beside `path` that becomes `path` when the block ends well.

    Write the file under the name given, close it, leave the block: it is then flushed to the disk
    and takes the place of `path` in one step, so a reader, or a killed run, sees the old file or
    the new one, never a half. When the block raises, the temporary file is removed and an older
    file at `path` stays as it was; what SIGKILL leaves behind is swept by the next write. Missing
    folders are made. The ending is kept (`scores.csv.gz`), as writers choose by it.

    Raises EnvironmentProblem when the disk is full, read-only or not ours to write, and InputError
    when `path` is a folder.

    >>> folder = Path(tempfile.mkdtemp())
    >>> with atomic_path(folder / "answer.txt") as temporary:
    ...     _ = temporary.write_text("42")
    >>> [(file.name, file.read_text()) for file in folder.iterdir()]
    [('answer.txt', '42')]
    """
    path = Path(os.path.realpath(path))  # replacing a link would cut it off from its target
    with translate_disk_errors(path):
        if path.is_dir():
            raise InputError(str(path), "a folder", "the name of a file to write", f"{path}/NAME")
        # Never replace /dev/null or a pipe by a file: make it elsewhere, then pour it in.
        is_special = path.exists() and not path.is_file()
        folder = Path(tempfile.gettempdir()) if is_special else _make_folder(path.parent)
        _sweep(folder, path)
        temporary, lock = _reserve_name(folder, path)
    try:
        with translate_disk_errors(path):  # inside: free space is read before the file is removed
            yield temporary
            if is_special:
                with temporary.open("rb") as source, path.open("wb") as sink:
                    shutil.copyfileobj(source, sink)
            else:
                # A writer that put a file of its own there (safetensors) made it private.
                temporary.chmod(os.fstat(lock).st_mode)
                take_place(temporary, path)
    finally:  # also after Ctrl-C
        os.close(lock)
        with suppress(OSError):
            temporary.unlink()


def take_place(temporary: Path, path: Path) -> None:
    """Flush a finished file to the disk and give it the name `path`, in one step."""
    _flush_to_disk(temporary, os.O_RDWR)
    temporary.replace(path)
    with suppress(OSError):  # some systems cannot flush a folder; the file itself is safe
        _flush_to_disk(path.parent, os.O_RDONLY)


def hash_file(path: Path, advance: Callable[[int], None] = lambda n: None) -> str:
    """SHA-256 of a file, a block at a time; `advance` is told of each block's bytes."""
    return hash_files([path], advance)


def hash_files(paths: Iterable[Path], advance: Callable[[int], None] = lambda n: None) -> str:
    """SHA-256 over files in their order, as if they were one."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(1 << 22):
                digest.update(block)
                advance(len(block))
    return digest.hexdigest()


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, value: object) -> None:
    """Write a value as indented JSON, whole or not at all.

    Paths become text, numpy values plain numbers and lists, dataclasses objects; NaN and infinities
    become null, as JSON has no word for them.
    """
    write_text(path, json_text(value, indent=2) + "\n")


def json_text(value: object, indent: int | None = None) -> str:
    """The JSON of a value, by the rules of `write_json`.

    >>> json_text({"mcc": float("nan"), "run": Path("runs/mito"), "parts": (0, 1)})
    '{"mcc": null, "run": "runs/mito", "parts": [0, 1]}'
    """
    return json.dumps(_as_json(value), indent=indent, ensure_ascii=False, allow_nan=False)


@contextmanager
def translate_disk_errors(path: Path) -> Iterator[None]:
    """Turn a full, read-only or forbidden disk into an EnvironmentProblem that names `path`.

    Understands OSError, and the texts in which pyarrow, polars, safetensors, numpy and torch wrap
    one; every other exception passes through untouched.
    """
    try:
        yield
    except Exception as error:
        number = _disk_refusal(error)
        if number is None:
            raise
        seen, remedy = DISK_REFUSALS[number]
        where = _file_at_fault(error, Path(path))
        expected = f"to be able to write there ({_free_space(where)})"
        raise EnvironmentProblem(str(where), seen, expected, remedy) from error


def _disk_refusal(error: BaseException) -> int | None:
    """The errno of a disk's refusal that this exception is, or carries in its text, else None."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno if error.errno in DISK_REFUSALS else None
    if isinstance(error, EnvironmentProblem | InputError | TypeError | KeyError | AssertionError):
        return None  # already said, or a mistake in data or code, whose text may quote anything
    text = str(error).lower()
    if found := NUMBER_IN_TEXT.search(text):
        return int(found[1]) if int(found[1]) in DISK_REFUSALS else None
    if SHORT_WRITE.search(text):
        return errno.ENOSPC
    return next((number for words, number in WORDS_IN_TEXT.items() if words in text), None)


def _file_at_fault(error: BaseException, path: Path) -> Path:
    """`path`, unless the error names a file that is not one of our temporary ones."""
    named = getattr(error, "filename", None)
    return Path(named) if isinstance(named, str) and MARK not in named else path


def _free_space(path: Path) -> str:
    """How many bytes are free on the disk of `path`, or of its nearest folder that exists."""
    try:
        folder = next(parent for parent in path.absolute().parents if parent.is_dir())
        return f"{shutil.disk_usage(folder).free:,} bytes free in {folder}"
    except (OSError, StopIteration):
        return "free space unknown"


def _make_folder(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise NotADirectoryError(errno.ENOTDIR, "Not a directory", str(folder)) from error
    return folder


def _reserve_name(folder: Path, path: Path) -> tuple[Path, int]:
    """An empty hidden file with the ending of `path`, and the open handle that marks it in use."""
    ending = "".join(path.suffixes[-2:])[-40:]
    name = f"{_temporary_prefix(path)}{secrets.token_hex(6)}{ending}"
    # Made with 0o666 so that the user's umask decides who may read the result.
    handle = os.open(folder / name, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666)
    lock_now(handle)
    return folder / name, handle


def _temporary_prefix(path: Path) -> str:
    return f".{path.name[:80]}.{MARK}-"


def _sweep(folder: Path, path: Path) -> None:
    """Remove what a killed run left of earlier tries to write `path`; files in use are locked."""
    for left in folder.iterdir():
        if not left.name.startswith(_temporary_prefix(path)):
            continue
        with suppress(OSError):
            handle = os.open(left, os.O_RDWR)
            try:
                if lock_now(handle):
                    left.unlink()
            finally:
                os.close(handle)


def lock_now(handle: int) -> bool:
    """Lock an open file without waiting; False where it is taken or locks are unknown.

    The lock ends when the file is closed, or its process is.
    """
    try:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (ImportError, OSError):
        return False
    return True


def _flush_to_disk(path: Path, flags: int) -> None:
    handle = os.open(path, flags)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _as_json(value: Any) -> Any:
    """The same value from the types that JSON knows."""
    if isinstance(value, Mapping):
        return {str(key): _as_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_as_json(item) for item in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Path):
        return str(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _as_json(dataclasses.asdict(value))
    if hasattr(value, "tolist"):  # numpy and torch, without importing either
        return _as_json(value.tolist())
    return value
