"""What has come of a download so far, kept beside its place: a later call goes on from there.

In the hidden folder `.NAME.partial` lie the bytes under their own name and, in `NAME.about.json`,
what they are the beginning of. The folder goes when the file is whole, or when nothing in it can
be gone on with.
"""

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import IO, Any, NamedTuple

from lexome.results.files import atomic_path, lock_now, take_place, write_json

CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


class Version(NamedTuple):
    """One state of a file on a server; "" is what the server does not tell."""

    url: str  # as it was asked for, before any redirection
    etag: str
    modified: str
    size: int | None

    @property
    def validator(self) -> str:
        """What `If-Range` can hold the server to; "" where it tells nothing that would do.

        A weak tag (W/...) says that two states mean the same, not that they are the same bytes.
        """
        is_strong = self.etag and not self.etag.startswith("W/")
        return self.etag if is_strong else self.modified


def read_version(url: str, headers: Mapping[str, str]) -> Version:
    """The state that a whole answer (200) is of.

    A time of change counts where it lies before the answer: within the same second the file may
    have changed once more (RFC 9110, 8.8.2.2).
    """
    length, modified = headers.get("Content-Length") or "", headers.get("Last-Modified") or ""
    try:
        age = parsedate_to_datetime(headers.get("Date") or "") - parsedate_to_datetime(modified)
        is_settled = age.total_seconds() >= 1
    except (ValueError, TypeError):  # no date, or one of a time zone and one without
        is_settled = False
    size = int(length) if length.isdigit() else None
    return Version(url, headers.get("ETag") or "", modified if is_settled else "", size)


class Partial:
    """The bytes so far, open and locked: no other process is at them."""

    def __init__(self, body: Path, sink: IO[bytes], about: Path | None) -> None:
        self.body = body
        self._sink, self._about = sink, about  # about: None where nothing is kept
        self._version = _read_about(about) if about else None

    def begun(self, url: str) -> tuple[Version, int] | None:
        """The state that the bytes are of, and from which byte on to ask for the rest.

        None where there is nothing, or it came from elsewhere, or nothing could tell that the
        file is still the same.
        """
        version, num_bytes = self._version, self.body.stat().st_size
        if version is None or version.url != url or not version.validator:
            return None
        # Of a file that is all there the last byte is asked for: servers refuse an empty range.
        start = num_bytes if version.size is None else min(num_bytes, version.size - 1)
        return (version, start) if start > 0 else None

    def begin(self, version: Version) -> None:
        """Write from the start; what was there belongs to something else."""
        self._version = version
        self.cut(0)  # before it is said whose bytes these are
        if self._about is not None:
            write_json(self._about, version._asdict())

    def cut(self, start: int) -> None:
        """Write from byte `start` on."""
        self._sink.truncate(start)
        self._sink.seek(start)

    def write(self, block: bytes) -> None:
        """Add some bytes; they are the system's at once, so that a killed process loses none."""
        self._sink.write(block)
        self._sink.flush()

    def drop(self) -> None:
        """What came is of no use: the next call starts anew."""
        self._version = None

    def can_go_on(self) -> bool:
        """Whether a later call can go on from here."""
        if self._about is None or self._version is None or not self._version.validator:
            return False
        return self.body.exists() and self.body.stat().st_size > 0


def match_rest(headers: Mapping[str, str], version: Version, start: int) -> Version | None:
    """The state, with its size, if a partial answer (206) is the rest of it from this byte on.

    A server, or a cache before it, may disregard `If-Range`, so what it tells is compared too.
    """
    found = CONTENT_RANGE.fullmatch((headers.get("Content-Range") or "").strip())
    if found is None or int(found[1]) != start:
        return None
    size = version.size if found[3] == "*" else int(found[3])
    tags = {headers.get("ETag") or version.etag, version.etag}
    times = {headers.get("Last-Modified") or version.modified, version.modified} - {""}
    is_same = version.size in (None, size) and len(tags) == 1 and len(times) <= 1
    return version._replace(size=size) if is_same else None


@contextmanager
def open_partial(path: Path) -> Iterator[Partial]:
    """What is there of `path`; when the block ends well, it takes the place of `path` in one step.

    When the block raises, or the process is killed, it stays for the next call. Where another
    process is at the same file (or the system knows no locks), a file of one's own is begun that
    does not stay.
    """
    path = Path(os.path.realpath(path))
    folder = path.parent / f".{path.name}.partial"
    body = folder / path.name
    is_plain = path.is_file() or not path.exists()
    handle = _claim(body) if is_plain else None
    if handle is None:
        with atomic_path(path) as temporary, temporary.open("r+b") as sink:
            yield Partial(temporary, sink, None)
        return
    with os.fdopen(handle, "r+b") as sink:
        partial = Partial(body, sink, folder / f"{path.name}.about.json")
        try:
            yield partial
            take_place(body, path)
        finally:
            if not partial.can_go_on():
                shutil.rmtree(folder, ignore_errors=True)


def _claim(body: Path) -> int | None:
    """The open and locked file, made where there is none; None where it is another process's."""
    body.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle = os.open(body, os.O_CREAT | os.O_RDWR, 0o666)
    except FileNotFoundError:  # the other process has just ended and removed the folder
        return None
    with suppress(FileNotFoundError):
        # Locked may be a file that the other process has moved to its place meanwhile.
        if lock_now(handle) and os.path.samestat(os.fstat(handle), body.stat()):
            return handle
    os.close(handle)
    return None


def _read_about(path: Path) -> Version | None:
    try:
        found: Any = json.loads(path.read_text(encoding="utf-8"))
        version = Version(**found)
    except (OSError, ValueError, TypeError):
        return None
    is_sound = all(isinstance(text, str) for text in version[:3])
    return version if is_sound and isinstance(version.size, int | None) else None
