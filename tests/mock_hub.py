"""A hub on this machine: a real HTTP server that `huggingface_hub` itself speaks to."""

import hashlib
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Hub:
    """What the server has, what goes wrong on request, and what it was asked."""

    def __init__(self, repositories: dict[str, Path]) -> None:
        self.repositories = repositories
        self.commit = "c" * 40
        self.asked: list[tuple[str, str, str | None]] = []  # method, path, Range
        self.status: int | None = None  # answered to everything, where set
        self.cut_after: int | None = None  # bytes of a body, after which the line goes dead
        self.wrong_hash = False
        self.address = ""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *args: object) -> None: ...

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, with_body: bool) -> None:
        hub = self.hub
        hub.asked.append((self.command, self.path, self.headers.get("Range")))
        if hub.status is not None:
            self._send(hub.status, b"{}", with_body)
            return
        path = self.path.split("?")[0]
        for name, folder in hub.repositories.items():
            if path.startswith(f"/api/models/{name}/"):
                files = [{"rfilename": p.name} for p in sorted(folder.iterdir())]
                told = {"id": name, "modelId": name, "sha": hub.commit, "siblings": files}
                if "/tree/" in path:
                    told = [
                        {"type": "file", "path": p.name, "size": p.stat().st_size, "oid": "0" * 40}
                        for p in sorted(folder.iterdir())
                    ]
                self._send(200, json.dumps(told).encode(), with_body, "application/json")
                return
            if path.startswith(f"/{name}/resolve/"):
                file = folder / path.rsplit("/", 1)[-1]
                if file.is_file():
                    location = f"{hub.address}/cdn/{name}/{file.name}"
                    self._redirect(file, location)
                    return
            if path.startswith(f"/cdn/{name}/"):
                self._file(folder / path.rsplit("/", 1)[-1], with_body)
                return
        self.send_response(404)
        self.send_header("X-Error-Code", "EntryNotFound" if "/resolve/" in path else "RepoNotFound")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _facts(self, file: Path) -> None:
        content = file.read_bytes()
        hashed = hashlib.sha256(content if not self.hub.wrong_hash else b"other").hexdigest()
        self.send_header("X-Repo-Commit", self.hub.commit)
        self.send_header("ETag", f'"{hashed}"')
        self.send_header("X-Linked-ETag", f'"{hashed}"')
        self.send_header("X-Linked-Size", str(len(content)))
        self.send_header("Accept-Ranges", "bytes")

    def _redirect(self, file: Path, location: str) -> None:
        self.send_response(302)
        self._facts(file)
        self.send_header("Location", location)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _file(self, file: Path, with_body: bool) -> None:
        content = file.read_bytes()
        first = 0
        asked = self.headers.get("Range", "")
        if asked.startswith("bytes="):
            first = int(asked.removeprefix("bytes=").split("-")[0])
        self.send_response(206 if asked else 200)
        self._facts(file)
        if asked:
            self.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
        body = content[first:]
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if not with_body:
            return
        if self.hub.cut_after is not None and len(body) > self.hub.cut_after:
            self.wfile.write(body[: self.hub.cut_after])
            self.wfile.flush()
            self.connection.close()
            return
        self.wfile.write(body)

    def _send(self, status: int, body: bytes, with_body: bool, kind: str = "text/plain") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if with_body:
            self.wfile.write(body)


@contextmanager
def serve_hub(repositories: dict[str, Path]):
    """A running hub with some repositories, closed at the end."""
    hub = Hub(repositories)
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    hub.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
