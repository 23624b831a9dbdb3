"""A git server over HTTP on loopback: git's own `http-backend` behind Python's HTTP server."""

import base64
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

USERNAME, PASSWORD = "writer", "open sesame"  # of the tests' own server


@dataclass(slots=True)
class GitServer:
    """Serves the bare repositories in `root`. `asked` has the path of each request; with `locked`, every
    request needs the credentials; with `drop_answers`, a push is taken and never answered."""

    root: Path
    port: int
    locked: bool = False
    drop_answers: bool = False
    asked: list[str] = field(default_factory=list)

    def create(self, name: str = "ledger.git") -> str:
        """A new empty repository; its address."""
        made = self.root / name
        subprocess.run(["git", "init", "--quiet", "--bare", made], check=True)
        subprocess.run(["git", "-C", made, "config", "http.receivepack", "true"], check=True)
        return self.address(name)

    def address(self, name: str = "ledger.git") -> str:
        return f"http://127.0.0.1:{self.port}/{name}"

    def git(self, *arguments: str, name: str = "ledger.git") -> str:
        """What git says in the repository on the server."""
        done = subprocess.run(
            ["git", "-C", self.root / name, *arguments], check=True, capture_output=True, text=True
        )
        return done.stdout.rstrip("\n")


@contextmanager
def git_server(root: Path) -> Iterator[GitServer]:
    """Serve a folder until the block ends."""
    http = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    http.daemon_threads = True
    made = GitServer(root, http.server_port)
    http.RequestHandlerClass = _handler(made)
    thread = threading.Thread(target=http.serve_forever, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        http.shutdown()
        http.server_close()
        thread.join()


@pytest.fixture
def git_http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitServer]:
    """A git server with one empty repository, `ledger.git`."""
    with git_server(tmp_path_factory.mktemp("git")) as made:
        made.create()
        yield made


def _handler(served: GitServer) -> type[BaseHTTPRequestHandler]:
    wanted = "Basic " + base64.b64encode(f"{USERNAME}:{PASSWORD}".encode()).decode()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer(b"")

        def do_POST(self) -> None:
            self._answer(self._body())

        def log_message(self, format: str, *args: Any) -> None:
            """`asked` is the log."""

        def _body(self) -> bytes:
            if "chunked" not in self.headers.get("Transfer-Encoding", ""):
                return self.rfile.read(int(self.headers.get("Content-Length", 0)))
            parts: list[bytes] = []
            while length := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(length))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)

        def _answer(self, body: bytes) -> None:
            served.asked.append(f"{self.command} {self.path}")
            if served.locked and self.headers.get("Authorization") != wanted:
                self._send(401, {"WWW-Authenticate": 'Basic realm="git"'}, b"")
                return
            head, _, content = self._backend(body).partition(b"\r\n\r\n")
            if served.drop_answers and self.path.endswith("/git-receive-pack"):
                self.close_connection = True
                self.connection.shutdown(2)
                return
            lines = [line.partition(": ") for line in head.decode("latin-1").splitlines()]
            fields = {name: value for name, _, value in lines}
            self._send(int(fields.pop("Status", "200").split()[0]), fields, content)

        def _backend(self, body: bytes) -> bytes:
            path, _, query = self.path.partition("?")
            variables = {
                "GIT_PROJECT_ROOT": str(served.root), "GIT_HTTP_EXPORT_ALL": "yes", "REMOTE_USER": USERNAME,
                "REMOTE_ADDR": "127.0.0.1", "REQUEST_METHOD": self.command, "PATH_INFO": path,
                "QUERY_STRING": query, "CONTENT_LENGTH": str(len(body)),
                "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            }  # fmt: skip
            done = subprocess.run(
                ["git", "http-backend"], input=body, env={**os.environ, **variables}, stdout=subprocess.PIPE,
                check=False,
            )  # fmt: skip
            return done.stdout

        def _send(self, status: int, fields: dict[str, str], content: bytes) -> None:
            self.send_response(status)
            for name, value in {**fields, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

    return Handler
