"""Fetches one file over HTTP: soon or not at all, bounded in size, whole or not at all.

A broken-off one goes on where it stopped.
"""

import http.client
import os
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from http.client import OK, PARTIAL_CONTENT
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from lexome import __version__
from lexome.errors import EnvironmentProblem
from lexome.io.partial_download import Partial, Version, match_rest, open_partial, read_version
from lexome.progress import Progress, show_progress
from lexome.results.files import translate_disk_errors

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

    What breaks off stays in a hidden folder beside `path`, and the next call asks only for the rest
    (`Range`), where the server tells by an ETag or a time of change that the file is the same
    (`If-Range`). Otherwise it comes anew.

    Redirections are followed, but never from https to http nor to anything else. `check` is given
    the unfinished file and raises when it is not what was wanted. An older file at `path` stays
    when anything goes wrong.

    Raises EnvironmentProblem when no server answers soon, it answers with an error, or the body
    is cut short, stalls or is too large.
    """
    with translate_disk_errors(path), open_partial(path) as partial:
        response, version, start = _open_rest(url, partial, answer_seconds)
        with response:
            size = version.size
            if size is not None and size > most_bytes:
                partial.drop()
                raise _refused(url, f"a file of {size:,} bytes", f"at most {most_bytes:,}")
            if start:
                partial.cut(start)
            else:
                partial.begin(version)
            label = f"Fetching {Path(urlsplit(url).path).name}"
            with show_progress(label, size, "bytes") as progress:
                progress.advance(start)
                progress.restart_clock()
                received = _copy(url, response, partial, start, most_bytes, whole_seconds, progress)
        if size is not None and received != size:
            raise _broken(url, partial, f"{received:,} bytes and then the end", f"{size:,} bytes")
        if check is not None:
            try:
                check(partial.body)
            except Exception:
                partial.drop()
                raise


def _open_rest(url: str, partial: Partial, seconds: float) -> tuple[Any, Version, int]:
    """An open answer, the state of the file that it is of, and the byte at which it begins."""
    if begun := partial.begun(url):
        version, start = begun
        asked = {"Range": f"bytes={start}-", "If-Range": version.validator}
        response = _open_soon(url, seconds, asked)
        if response.status == PARTIAL_CONTENT:
            same = match_rest(response.headers, version, start)
            if same is not None:
                return response, same, start
        elif response.status == OK:  # the server knows no ranges, or the file has changed
            return response, read_version(url, response.headers), 0
        response.close()  # 416, or another file's rest: the plain question decides
    response = _open_soon(url, seconds)
    return response, read_version(url, response.headers), 0


def _open_soon(url: str, seconds: float, asked: Mapping[str, str] | None = None) -> Any:
    """An open answer of the server. In a thread, as nothing else bounds the look-up of a name.

    Where a range was `asked` for, the answer may also be an error.
    """
    headers = {"User-Agent": f"lexome/{__version__}", **(asked or {})}
    request = urllib.request.Request(url, headers=headers)
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
        if asked:
            return answer
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
    url: str,
    response: Any,
    partial: Partial,
    start: int,
    most_bytes: int,
    whole_seconds: float,
    progress: Progress,
) -> int:
    """Write what comes; how many bytes there are then, those before `start` among them."""
    received, began = start, time.monotonic()
    while True:
        try:
            block = response.read(BLOCK_BYTES)
        except (OSError, http.client.HTTPException) as error:
            said = str(error) or type(error).__name__
            seen = f"a connection that broke off after {received:,} bytes ({said})"
            raise _broken(url, partial, seen, "all of it") from error
        if not block:
            return received
        received += len(block)
        if received > most_bytes:
            partial.drop()
            raise _refused(url, f"more than {most_bytes:,} bytes", "a smaller file")
        partial.write(block)
        progress.advance(len(block))
        if (seconds := time.monotonic() - began) > whole_seconds:
            seen = f"{received:,} bytes in {seconds:.0f} s"
            raise _broken(url, partial, seen, "all of it by then")


def _broken(url: str, partial: Partial, seen: str, expected: str) -> EnvironmentProblem:
    """The error for a download that began well."""
    if not partial.can_go_on():
        return _refused(url, seen, expected)
    remedy = "the same again: it goes on where it stopped"
    return EnvironmentProblem(url, seen, expected, remedy)


def _refused(url: str, seen: str, expected: str) -> EnvironmentProblem:
    return EnvironmentProblem(url, seen, expected, "again later, or to give a file of your own")
