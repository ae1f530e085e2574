"""A small web server on this machine, to try downloads against: each path has its own behaviour."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

Answer = Callable[[BaseHTTPRequestHandler], None]


def whole(body: bytes) -> Answer:
    """A good answer."""
    return lambda handler: _send(handler, 200, body, len(body))


def status(code: int) -> Answer:
    """An error, with a page that is no table."""
    return lambda handler: _send(handler, code, b"<html>sorry</html>", 18)


def cut_short(body: bytes, announced: int) -> Answer:
    """A body that ends before the announced length."""
    return lambda handler: _send(handler, 200, body, announced)


def without_length(body: bytes) -> Answer:
    """A body that ends where the connection does."""
    return lambda handler: _send(handler, 200, body, None)


def sent_on(to: str) -> Answer:
    """A redirection."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(302)
        handler.send_header("Location", to)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


def late(seconds: float) -> Answer:
    """No answer for a while."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        time.sleep(seconds)
        _send(handler, 200, b"", 0)

    return answer


class Resumable:
    """A file that is sent from the byte asked for on, if it is still the one that is meant.

    Set `breaks_after` to have the connection broken off after so many bytes of an answer. What
    was asked for stands in `ranges` and `conditions`, how it was answered in `codes`.
    """

    def __init__(self, body: bytes, **headers: str) -> None:
        self.body, self.headers = body, {name.replace("_", "-"): headers[name] for name in headers}
        self.breaks_after: int | None = None
        self.pause = 0.0  # seconds between two blocks
        self.knows_ranges = self.heeds_conditions = self.tells_length = True
        self.ranges: list[str | None] = []
        self.conditions: list[str | None] = []
        self.codes: list[int] = []

    def __call__(self, handler: BaseHTTPRequestHandler) -> None:
        asked, condition = handler.headers.get("Range"), handler.headers.get("If-Range")
        self.ranges.append(asked)
        self.conditions.append(condition)
        is_same = condition is None or condition in self.headers.values()
        code, first = 200, 0
        if asked and self.knows_ranges and (is_same or not self.heeds_conditions):
            first = int(asked.removeprefix("bytes=").removesuffix("-"))
            code = 206 if first < len(self.body) else 416
        self.codes.append(code)
        rest = self.body[first:]
        handler.send_response_only(code)
        told = {"Date": formatdate(usegmt=True)} | self.headers
        for name, value in told.items():
            handler.send_header(name, value)
        if code == 206:
            last = len(self.body) - 1
            handler.send_header("Content-Range", f"bytes {first}-{last}/{len(self.body)}")
        if self.tells_length or code != 200:
            handler.send_header("Content-Length", str(len(rest)))
        handler.end_headers()
        sent = rest if self.breaks_after is None else rest[: self.breaks_after]
        with suppress(OSError):  # the client had enough
            for start in range(0, len(sent), 1 << 14):
                handler.wfile.write(sent[start : start + (1 << 14)])
                time.sleep(self.pause)


def _send(handler: BaseHTTPRequestHandler, code: int, body: bytes, length: int | None) -> None:
    handler.send_response(code)
    if length is not None:
        handler.send_header("Content-Length", str(length))
    handler.end_headers()
    with suppress(OSError):  # the client had enough
        handler.wfile.write(body)


@contextmanager
def serve(answers: dict[str, Answer]) -> Iterator[tuple[str, list[str]]]:
    """The address of a server that gives these answers, and the paths that were asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            answers.get(self.path, status(404))(self)
            self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
