"""Fetches one file over HTTP: soon or not at all, bounded in size, whole or not at all."""

import http.client
import os
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from lexome import __version__
from lexome.errors import EnvironmentProblem
from lexome.progress import Progress, show_progress
from lexome.results.files import atomic_path

ANSWER_SECONDS = 5.0  # name, connection, TLS and first line together: offline must not mean waiting
STALL_SECONDS = 20.0  # between two blocks
WHOLE_SECONDS = 900.0
MOST_BYTES = 256 << 20
BLOCK_BYTES = 1 << 16


def cache_folder(kind: str) -> Path:
    """Where downloads of a kind are kept: `$XDG_CACHE_HOME/lexome`, else `~/.cache/lexome`."""
    asked = os.environ.get("XDG_CACHE_HOME", "")
    root = Path(asked) if os.path.isabs(asked) else Path.home() / ".cache"  # noqa: PTH117 - "" too
    return root / "lexome" / kind


def download_file(
    url: str,
    path: Path,
    *,
    most_bytes: int = MOST_BYTES,
    answer_seconds: float = ANSWER_SECONDS,
    whole_seconds: float = WHOLE_SECONDS,
    check: Callable[[Path], None] | None = None,
) -> None:
    """Fetch `url` to `path`; the file appears there only when all of it came and `check` passed.

    Redirections are followed, but never from https to http nor to anything else. `check` is given
    the temporary file and raises when it is not what was wanted. An older file at `path` stays
    when anything goes wrong.

    Raises EnvironmentProblem when no server answers soon, it answers with an error, or the body
    is cut short, stalls or is too large.
    """
    opened = _open_soon(url, answer_seconds)
    with opened as response, atomic_path(path) as temporary:
        announced = response.headers.get("Content-Length")
        size = int(announced) if announced and announced.isdigit() else None
        if size is not None and size > most_bytes:
            raise _refused(url, f"a file of {size:,} bytes", f"at most {most_bytes:,}")
        label = f"Fetching {Path(urlsplit(url).path).name}"
        with temporary.open("wb") as sink, show_progress(label, size, "bytes") as progress:
            received = _copy(url, response, sink, (most_bytes, whole_seconds), progress)
        if size is not None and received != size:
            raise _refused(url, f"{received:,} bytes and then the end", f"{size:,} bytes")
        if check is not None:
            check(temporary)


def _open_soon(url: str, seconds: float) -> Any:
    """An open answer of the server. In a thread, as nothing else bounds the look-up of a name."""
    request = urllib.request.Request(url, headers={"User-Agent": f"lexome/{__version__}"})
    opener = urllib.request.build_opener(_SafeRedirects)
    outcome: list[Any] = []

    def open_url() -> None:
        try:
            outcome.append(opener.open(request, timeout=STALL_SECONDS))
        except (OSError, http.client.HTTPException, ValueError) as error:
            outcome.append(error)

    thread = threading.Thread(target=open_url, daemon=True)
    thread.start()
    thread.join(seconds)
    if not outcome:
        raise _refused(url, f"no answer within {seconds:g} s", "a server that answers")
    answer = outcome[0]
    if isinstance(answer, urllib.error.HTTPError):
        answer.close()
        raise _refused(url, f"the answer {answer.code} {answer.reason}", "the file")
    if isinstance(answer, Exception):
        reason = str(getattr(answer, "reason", answer)) or type(answer).__name__
        raise _refused(url, f"no connection ({reason})", "a server that answers") from answer
    return answer


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follows a redirection only to a place as safe as the one that was asked for."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: Any,
        newurl: str,
    ) -> urllib.request.Request | None:
        before, after = urlsplit(req.full_url).scheme, urlsplit(newurl).scheme
        if after != "https" and not (before == after == "http"):
            fp.close()
            raise ValueError(f"sent on to {newurl}, which is not https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _copy(
    url: str, response: Any, sink: IO[bytes], most: tuple[int, float], progress: Progress
) -> int:
    (most_bytes, whole_seconds), received, began = most, 0, time.monotonic()
    while True:
        try:
            block = response.read(BLOCK_BYTES)
        except (OSError, http.client.HTTPException) as error:
            said = str(error) or type(error).__name__
            raise _refused(
                url, f"a connection that broke off after {received:,} bytes ({said})", "all of it"
            ) from error
        if not block:
            return received
        received += len(block)
        if received > most_bytes:
            raise _refused(url, f"more than {most_bytes:,} bytes", "a smaller file")
        if time.monotonic() - began > whole_seconds:
            raise _refused(url, f"{received:,} bytes in {whole_seconds:.0f} s", "all of it by then")
        sink.write(block)
        progress.advance(len(block))


def _refused(url: str, seen: str, expected: str) -> EnvironmentProblem:
    return EnvironmentProblem(url, seen, expected, "again later, or to give a file of your own")
