"""Running other programs: one way in, never a shell, and nothing of it outlives us."""

import os
import selectors
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO

_KEEP_BYTES = 16 * 1024 * 1024
_GRACE_S = 5.0


@dataclass(frozen=True, slots=True)
class Finished:
    """How a program ended. `status` is negative for a signal; output beyond 16 MiB is dropped."""

    argv: tuple[str, ...]
    status: int
    stdout: bytes
    stderr: bytes
    timed_out: bool

    @property
    def ok(self) -> bool:
        return self.status == 0 and not self.timed_out

    @property
    def text(self) -> str:
        """Standard output as text, without the last newline."""
        return self.stdout.decode(errors="replace").rstrip("\n")

    def tail(self, lines: int = 20) -> str:
        """The last lines of what it said, for a message: standard error, or else standard output."""
        said = (self.stderr.strip() or self.stdout.strip()).decode(errors="replace")
        return "\n".join(said.splitlines()[-lines:])


def run(
    argv: Sequence[str],
    *,
    timeout_s: float,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: bytes = b"",
    log: BinaryIO | None = None,
    line: Callable[[str], None] | None = None,
) -> Finished:
    """Run a program to its end. `env` is added to ours; `log` and `line` get its output as it comes.

    The program leads a process group of its own, which is ended when time is up, and when we are
    interrupted. Raises FileNotFoundError if there is no such program.
    """
    program = subprocess.Popen(
        list(argv),
        cwd=cwd,
        env={**os.environ, **env} if env else None,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        out, err, timed_out = _pump(program, stdin, time.monotonic() + timeout_s, log, line)
        if timed_out:
            _end(program)
        status = program.wait(timeout=_GRACE_S if timed_out else None)
    except BaseException:
        _end(program)
        raise
    finally:
        for stream in (program.stdin, program.stdout, program.stderr):
            if stream and not stream.closed:
                stream.close()
    return Finished(tuple(argv), status, out, err, timed_out)


def _pump(
    program: subprocess.Popen[bytes],
    stdin: bytes,
    deadline: float,
    log: BinaryIO | None,
    line: Callable[[str], None] | None,
) -> tuple[bytes, bytes, bool]:
    """Feed and drain the pipes until both outputs are closed or the deadline (monotonic) has passed."""
    assert program.stdin and program.stdout and program.stderr  # noqa: S101 - PIPE was asked for
    kept: dict[IO[bytes], deque[bytes]] = {program.stdout: deque(), program.stderr: deque()}
    rest = memoryview(stdin)
    partial = b""
    with selectors.DefaultSelector() as ready:
        for stream in kept:
            ready.register(stream, selectors.EVENT_READ)
        if stdin:
            os.set_blocking(program.stdin.fileno(), False)
            ready.register(program.stdin, selectors.EVENT_WRITE)
        else:
            program.stdin.close()
        while ready.get_map():
            left = deadline - time.monotonic()
            if left <= 0:
                break
            for key, _ in ready.select(left):
                if key.fileobj is program.stdin:
                    rest = _feed(program.stdin, rest)
                    if not rest:
                        ready.unregister(program.stdin)
                        program.stdin.close()
                    continue
                block = os.read(key.fd, 65536)
                if not block:
                    ready.unregister(key.fileobj)
                    continue
                _keep(kept[key.fileobj], block)  # type: ignore[index] # the only other streams registered
                if log:
                    log.write(block)
                if line:
                    *whole, partial = (partial + block).split(b"\n")
                    for text in whole:
                        line(text.decode(errors="replace").rstrip("\r"))
        timed_out = bool(ready.get_map())
    if line and partial:
        line(partial.decode(errors="replace"))
    return b"".join(kept[program.stdout]), b"".join(kept[program.stderr]), timed_out


def _feed(stream: IO[bytes], rest: memoryview) -> memoryview:
    try:
        return rest[os.write(stream.fileno(), rest[:65536]) :]
    except BrokenPipeError:  # it read as much as it wanted
        return rest[:0]


def _keep(blocks: deque[bytes], block: bytes) -> None:
    if sum(map(len, blocks)) < _KEEP_BYTES:
        blocks.append(block)


def _end(program: subprocess.Popen[bytes]) -> None:
    """End the whole process group: politely, then not."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(program.pid, sign)
        except ProcessLookupError:
            break
        try:
            program.wait(timeout=_GRACE_S)
        except subprocess.TimeoutExpired:
            continue
    program.wait()
