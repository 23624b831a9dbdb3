"""Interrupted in the middle of an upload: the next run completes what was begun (law 8)."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.parts.peers import Crane
from tests.parts.site import Site

RELEASED = ["requested", "built", "pushed", "claimed", "signature_checked", "tagged"]
_STALL_BYTES = 300_000


class Stalling:
    """A proxy in front of a registry. While `stalls`, a connection that has sent so much gets no further."""

    def __init__(self, port: int) -> None:
        self.stalls, self.stalled = True, threading.Event()
        self._upstream = port
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._start(self._accept)

    def close(self) -> None:
        """Every connection ends, and with them the threads."""
        self._listener.shutdown(socket.SHUT_RDWR)
        for each in self._open:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
        for each in (self._listener, *self._open):
            each.close()

    def _start(self, work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._upstream))
            self._open += [client, server]
            self._start(self._pump, client, server, True)
            self._start(self._pump, server, client, False)

    def _pump(self, source: socket.socket, target: socket.socket, counted: bool) -> None:
        passed = 0
        try:
            while block := source.recv(65536):
                passed += len(block)
                if counted and self.stalls and passed > _STALL_BYTES:
                    self.stalled.set()
                    return  # both ends stay open, and nothing moves any more
                target.sendall(block)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            return


@pytest.fixture
def proxy(site: Site) -> Iterator[Stalling]:
    made = Stalling(site.registry.server.port)
    yield made
    made.close()


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_release_interrupted_while_it_uploads_is_completed_by_the_next(
    number: signal.Signals, status: int, site: Site, proxy: Stalling, crane: Crane
) -> None:
    repository = f"127.0.0.1:{proxy.port}/{site.repository.path}"
    env = {**os.environ, **site.env, "IMMUTAG_IMAGE_REPOSITORY": repository}
    command = [str(Path(sys.executable).with_name("immutag")), "release"]
    running = subprocess.Popen(command, cwd=site.folder, env=env, stderr=subprocess.PIPE, text=True)
    assert proxy.stalled.wait(60), "it never came to the upload"
    running.send_signal(number)
    _, said = running.communicate(timeout=15)
    assert running.returncode == status
    assert "Traceback" not in said
    assert "pushed" not in site.facts()
    assert crane.run("ls", site.repository).returncode != 0 or crane.tags(site.repository) == []
    proxy.stalls = False
    again = site.run("release", env={"IMMUTAG_IMAGE_REPOSITORY": repository})
    assert again.returncode == 0, again.stderr
    assert "STEP" not in again.stderr, "the finished build is found again"
    assert [fact for fact in site.facts() if fact != "stopped"] == RELEASED
    assert site.run("ledger", "verify").returncode == 0
