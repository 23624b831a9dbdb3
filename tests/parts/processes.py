"""Servers of the tests: started on a free loopback port, awaited by asking, ended by pid."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.parts.programs import program

READY_S = 20.0
_POLL_S = 0.01
_GRACE_S = 5.0
_TRIES = 5


@dataclass(frozen=True, slots=True)
class Server:
    """A running server. `log` has its standard output and error."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid


def free_port() -> int:
    """A loopback port that nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def listens(port: int) -> bool:
    """Whether something takes connections on this loopback port."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def server(
    argv: Callable[[int], Sequence[str]],
    *,
    log: Path,
    env: Mapping[str, str] | None = None,
    ready: Callable[[int], bool] = listens,
    port: int | None = None,
) -> Iterator[Server]:
    """Run `argv(port)` until the block ends. Another process may take the port first: then another port."""
    for attempt in range(_TRIES):
        chosen = port or free_port()
        running = Server(_start(argv(chosen), log, env), chosen, log)
        try:
            if _becomes_ready(running, ready):
                yield running
                return
        finally:
            end(running.process)
        if port or "in use" not in log.read_text(errors="replace") or attempt == _TRIES - 1:
            break
    raise RuntimeError(f"the server did not start:\n{log.read_text(errors='replace')[-4000:]}")


def _start(argv: Sequence[str], log: Path, env: Mapping[str, str] | None) -> subprocess.Popen[bytes]:
    """In a process group of its own, which ends with us even if we are killed."""
    with log.open("wb") as output:
        return subprocess.Popen(
            [program("setpriv"), "--pdeathsig", "TERM", "--", *argv],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(env or {})},
            start_new_session=True,
        )


def _becomes_ready(running: Server, ready: Callable[[int], bool]) -> bool:
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline and running.process.poll() is None:
        if ready(running.port):
            return running.process.poll() is None
        time.sleep(_POLL_S)  # between two questions; the loop's bound is READY_S
    return False


def end(process: subprocess.Popen[bytes]) -> None:
    """End the process and its group: politely, then not."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is not None:
            break
        os.killpg(process.pid, sign)
        try:
            process.wait(timeout=_GRACE_S)
        except subprocess.TimeoutExpired:
            continue
    process.wait()
