"""A small real HTTP server that answers, byte for byte, what a test wants: broken and hostile registries."""

import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

_HEAD_LIMIT_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Request:
    """What the client sent; the body only as far as a play has read it."""

    method: str
    path: str
    headers: Mapping[str, str]

    @property
    def length(self) -> int:
        return int(self.headers.get("content-length", "0"))


class Wire:
    """The connection, in a play's hands."""

    def __init__(self, connection: socket.socket, early: bytes, stop: threading.Event) -> None:
        self._connection = connection
        self._early = early
        self._stop = stop
        self.sent_bytes = 0

    def send(self, data: bytes) -> None:
        self._connection.sendall(data)
        self.sent_bytes += len(data)

    def answer(self, status: int, headers: Mapping[str, str] | None = None, body: bytes = b"") -> None:
        self.send(answer(status, headers, body))

    def drip(self, data: bytes, pause_s: float) -> None:
        """Send it byte by byte."""
        for at in range(len(data)):
            if self._stop.wait(pause_s):
                return
            self.send(data[at : at + 1])

    def endlessly(self, block: bytes, most_bytes: int = 1 << 30) -> None:
        """Send the block again and again, until the client has had enough."""
        while not self._stop.is_set() and self.sent_bytes < most_bytes:
            self.send(block)

    def silence(self) -> None:
        """Say nothing until the client gives up or the test is over."""
        with suppress(TimeoutError):
            self._connection.settimeout(30)
            while not self._stop.is_set() and self._connection.recv(65536):
                pass

    def read(self, size: int) -> bytes:
        """So much of the request's body."""
        arrived = bytearray(self._early)
        while len(arrived) < size and (block := self._connection.recv(65536)):
            arrived += block
        self._early = bytes(arrived[size:])
        return bytes(arrived[:size])

    def hang_up(self) -> None:
        """Break the connection off, without waiting for what is still on its way."""
        linger = (1).to_bytes(4, "little") + (0).to_bytes(4, "little")
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._connection.close()


Play = Callable[[Request, Wire], None]


@dataclass(slots=True)
class HostileRegistry:
    """The server. `requests` is what it was asked; `wires` is what it could send each time."""

    port: int
    play: Play | None = None
    requests: list[Request] = field(default_factory=list)
    wires: list[Wire] = field(default_factory=list)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    def asked(self, method: str, containing: str = "") -> list[Request]:
        return [r for r in self.requests if r.method == method and containing in r.path]


@contextmanager
def hostile_registry(play: Play | None = None) -> Iterator[HostileRegistry]:
    """Serve until the block ends: one request a connection, so that each play begins afresh."""
    stop = threading.Event()
    threads: list[threading.Thread] = []
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listening:
        listening.settimeout(0.05)
        registry = HostileRegistry(listening.getsockname()[1], play)

        def accept() -> None:
            while not stop.is_set():
                try:
                    connection, _ = listening.accept()
                except TimeoutError:
                    continue
                thread = threading.Thread(target=_serve, args=(connection, registry, stop))
                threads.append(thread)
                thread.start()

        accepting = threading.Thread(target=accept)
        accepting.start()
        try:
            yield registry
        finally:
            stop.set()
            accepting.join()
            for thread in threads:
                thread.join(timeout=35)


def _serve(connection: socket.socket, registry: HostileRegistry, stop: threading.Event) -> None:
    with connection, suppress(OSError):
        connection.settimeout(10)
        head, early = b"", b""
        while b"\r\n\r\n" not in head and len(head) < _HEAD_LIMIT_BYTES:
            block = connection.recv(65536)
            if not block:
                return
            head += block
        head, _, early = head.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        method, path, _ = first.split(" ", 2)
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        request, wire = Request(method, path, headers), Wire(connection, early, stop)
        registry.requests.append(request)
        registry.wires.append(wire)
        if registry.play:
            registry.play(request, wire)


def answer(status: int, headers: Mapping[str, str] | None = None, body: bytes = b"") -> bytes:
    """A correct answer; a length that the headers give is kept, right or wrong."""
    named = {"Content-Length": str(len(body)), "Connection": "close", **(headers or {})}
    lines = "".join(f"{name}: {value}\r\n" for name, value in named.items() if value)
    return f"HTTP/1.1 {status} X\r\n{lines}\r\n".encode("latin-1") + body


def errors(code: str, message: str = "") -> bytes:
    """A registry's error document."""
    return json.dumps({"errors": [{"code": code, "message": message}]}).encode()
