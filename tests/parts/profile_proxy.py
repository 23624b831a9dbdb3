"""A proxy that plays what a kind of registry does differently, in front of a real one (oci/profiles.py)."""

import http.client
import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

from immutag.core.values import Repository
from immutag.oci import INDEXES, MANIFESTS

_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "date", "server"}
_MANIFEST = re.compile(r"/v2/(.+)/manifests/([^/?]+)$")
_REFERRERS = re.compile(r"/v2/.+/referrers/[^/?]+$")
_PAGE = "/-/v2/packages/container"


@dataclass(frozen=True)
class Refusal:
    """An answer of the registry's own: its status, its error code and message, further headers."""

    status: int
    code: str
    message: str = "refused"
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def body(self) -> bytes:
        return json.dumps({"errors": [{"code": self.code, "message": self.message}]}).encode()


@dataclass(frozen=True)
class Behaviour:
    """What differs from the registry behind.

    `every`: each so many requests are answered with `throttle`. `immutable`: how a PUT of a tag that exists
    is refused; `frozen`: which tags that goes for. `subject`: the tag sha256-<hex>, where there is none, is
    answered with the manifest of that digest.
    """

    referrers: Literal["pass", "absent", "redirect", "null"] = "pass"
    subject: bool = False
    immutable: Refusal | None = None
    frozen: str = "[0-9a-f]{12}|[0-9a-f]{40}"
    throttle: Refusal | None = None
    every: int = 20
    head_digest: bool = True
    mount: Literal["pass", "upload", "unauthorized"] = "pass"
    delete: bool = True
    greeting: Mapping[str, str] = field(default_factory=dict)


_TOO_MANY = "TOOMANYREQUESTS"
BEHAVIOURS: Mapping[str, Behaviour] = {
    "ghcr": Behaviour(
        referrers="redirect",
        throttle=Refusal(429, _TOO_MANY, "retry-after: 880.092µs, allowed: 44000/minute"),
        delete=False,
    ),
    "gitlab": Behaviour(
        referrers="absent",
        subject=True,
        immutable=Refusal(403, "DENIED", "tag is immutable"),
        throttle=Refusal(429, _TOO_MANY, headers={"Retry-After": "0", "RateLimit-Remaining": "0"}),
        greeting={"Gitlab-Container-Registry-Version": "4.15.2-gitlab"},
    ),
    "ecr": Behaviour(
        immutable=Refusal(400, "TAG_INVALID", "cannot be overwritten because the repository is immutable"),
        throttle=Refusal(429, _TOO_MANY, "Rate exceeded"),
        head_digest=False,
        mount="upload",
    ),
    "docker-hub": Behaviour(
        referrers="null",
        immutable=Refusal(403, "DENIED", "requested access to the resource is denied"),
        throttle=Refusal(
            429, _TOO_MANY, headers={"ratelimit-limit": "100;w=21600", "ratelimit-remaining": "0;w=21600"}
        ),
        delete=False,
    ),
    "harbor": Behaviour(
        referrers="null",
        immutable=Refusal(412, "PRECONDITION", "configured as immutable, cannot be updated"),
        mount="unauthorized",
        greeting={
            "WWW-Authenticate": 'Bearer realm="https://harbor/service/token",service="harbor-registry"'
        },
    ),
    "distribution-2": Behaviour(),
    "distribution-3": Behaviour(delete=False),
}
"""One for each profile."""


@dataclass
class ProfileProxy:
    """The running proxy. `asked` is each request: method, path, and the status that was answered."""

    port: int
    asked: list[tuple[str, str, int]] = field(default_factory=list)

    def repository(self, behind: Repository) -> Repository:
        """The repository of the registry behind, as the proxy has it."""
        return Repository(f"127.0.0.1:{self.port}", behind.path)

    def statuses(self) -> set[int]:
        return {status for _, _, status in self.asked}


@contextmanager
def profile_proxy(host: str, behaviour: Behaviour) -> Iterator[ProfileProxy]:
    """In front of the registry at this host, on a port of its own on loopback."""
    proxy = ProfileProxy(0)

    class Handler(_Handler):
        behind, plays, book = host, behaviour, proxy

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    proxy.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    behind: str
    plays: Behaviour
    book: ProfileProxy

    def handle_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        own = self._own()
        if own is not None:
            self._answer(own.status, own.headers, own.body)
            return
        status, headers, content = self._forward(self.command, self.path, body)
        headers |= dict(self.plays.greeting) if self.path == "/v2/" else {}
        if _REFERRERS.match(self.path.partition("?")[0]) and self.plays.referrers == "null":
            document = json.loads(content)
            content = json.dumps({**document, "manifests": document["manifests"] or None}).encode()
        if not self.plays.head_digest and _MANIFEST.match(self.path):
            headers = {k: v for k, v in headers.items() if k.lower() != "docker-content-digest"}
        self._answer(status, headers, content)

    do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = do_DELETE = handle_any

    def _own(self) -> Refusal | None:
        """What the profile answers without asking the registry behind."""
        plays, path = self.plays, self.path.partition("?")[0]
        if plays.throttle and len(self.book.asked) % plays.every == plays.every - 1:
            return plays.throttle
        if path.startswith(_PAGE):
            return Refusal(200, "", "<html>", {"Content-Type": "text/html"})
        if _REFERRERS.match(path) and plays.referrers == "absent":
            return Refusal(404, "MANIFEST_UNKNOWN")
        if _REFERRERS.match(path) and plays.referrers == "redirect":
            return Refusal(303, "", "", {"Location": f"http://127.0.0.1:{self.book.port}{_PAGE}"})
        if self.command == "DELETE" and not plays.delete:
            return Refusal(405, "UNSUPPORTED")
        if self.command == "POST" and "mount=" in self.path and plays.mount == "unauthorized":
            return Refusal(401, "UNAUTHORIZED", "project not found")
        return self._immutable() if self.command == "PUT" else None

    def _immutable(self) -> Refusal | None:
        found = _MANIFEST.match(self.path)
        if not (self.plays.immutable and found and re.fullmatch(self.plays.frozen, found[2])):
            return None
        status, _, _ = self._forward("HEAD", self.path, b"", conditional=False)
        return self.plays.immutable if status == 200 else None

    def _forward(
        self, method: str, path: str, body: bytes, *, conditional: bool = True
    ) -> tuple[int, dict[str, str], bytes]:
        if method == "POST" and self.plays.mount == "upload":
            path = path.partition("?")[0]
        status, headers, content = self._ask(method, path, body, conditional)
        found = _MANIFEST.match(path)
        if status == 404 and found and self.plays.subject and method in ("GET", "HEAD"):
            digest = re.fullmatch("(sha256)-([0-9a-f]{64})", found[2])
            if digest:
                return self._ask(
                    method, f"/v2/{found[1]}/manifests/{digest[1]}:{digest[2]}", body, conditional
                )
        return status, headers, content

    def _ask(
        self, method: str, path: str, body: bytes, conditional: bool
    ) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection(self.behind, timeout=30)
        try:
            names = {k: v for k, v in self.headers.items() if k.lower() not in _HOP | {"host", "expect"}}
            if not conditional:  # whether it is there, of whatever kind
                names = {"Accept": ", ".join((*MANIFESTS, *INDEXES))}
            connection.request(method, path, body=body, headers=names)
            answer = connection.getresponse()
            headers = {k: v for k, v in answer.getheaders() if k.lower() not in _HOP}
            if "Location" in headers:
                headers["Location"] = headers["Location"].replace(self.behind, f"127.0.0.1:{self.book.port}")
            length = answer.headers.get("Content-Length")
            if method == "HEAD" and length:
                headers["Content-Length"] = length
            return answer.status, headers, answer.read()
        finally:
            connection.close()

    def _answer(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.book.asked.append((self.command, self.path, status))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if "Content-Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        return
