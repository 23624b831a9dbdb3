"""Running other programs: one way in, never a shell, and nothing of an interrupted one outlives us."""

import os
import selectors
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, BinaryIO, cast

from immutag.core.frozen import frozen

OUR_SECRETS = (
    "IMMUTAG_REGISTRY_USERNAME",
    "IMMUTAG_REGISTRY_PASSWORD",
    "COSIGN_PASSWORD",
    "SIGSTORE_ID_TOKEN",
)
"""What no other program gets from our environment: builds, hooks and scanners run other people's code."""

_KEEP_BYTES = 16 * 1024 * 1024
_BLOCK_BYTES = 64 * 1024
_GRACE_S = 5.0  # between asking a process group to end and ending it
_LINGER_S = 0.2  # for what a program's orphans still say after its own end
_POLL_S = 0.002


@frozen()
class Finished:
    """How a program ended. `status` is negative for a signal.

    At most 16 MiB are kept of each output: the first of stdout, the last of stderr. `complete` says
    whether that was all of stdout.
    """

    argv: tuple[str, ...]
    status: int
    stdout: bytes
    stderr: bytes
    timed_out: bool
    complete: bool = True

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
    without: Collection[str] = (),
    stdin: bytes = b"",
    log: BinaryIO | None = None,
    line: Callable[[str], None] | None = None,
) -> Finished:
    """Run a program to its end; `log` and `line` get its output as it comes.

    Its environment is ours, without our secrets and the names in `without`, and with `env`. The program
    leads a process group of its own, which is ended when time is up and when we are interrupted. What a
    program that ended by itself left in the background is left alone, and not waited for. Raises
    FileNotFoundError if there is no such program.
    """
    program = subprocess.Popen(
        list(argv),
        cwd=cwd,
        env=_environment(env, without),
        stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        out, err = _Output(log, line), _Output(log, line, newest=True)
        timed_out = not _pump(program, timeout_s, stdin=stdin, out=out, err=err)
        if timed_out:
            end(program)
        status = program.wait()
    except BaseException:
        end(program)
        raise
    finally:
        for stream in (program.stdin, program.stdout, program.stderr):
            if stream:
                stream.close()
    return Finished(tuple(argv), status, out.close(), err.close(), timed_out, complete=not out.dropped)


@contextmanager
def talk(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    without: Collection[str] = (),
) -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """Run a program that answers: its standard input and output, for as long as the block lasts.

    It is ended with the block, and what it says on standard error is dropped.
    """
    program = subprocess.Popen(
        list(argv),
        env=_environment(env, without),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    ask, answer = cast(BinaryIO, _pipe(program.stdin)), cast(BinaryIO, _pipe(program.stdout))
    try:
        with answer:
            yield ask, answer
    finally:
        with suppress(BrokenPipeError):
            ask.close()
        with suppress(subprocess.TimeoutExpired):
            program.wait(timeout=_LINGER_S)
        if program.returncode is None:
            end(program)


def _environment(more: Mapping[str, str] | None, without: Collection[str]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in (*OUR_SECRETS, *without)}
    return {**kept, **(more or {})}


class _Output:
    """One output of a program: what is kept of it, and who sees it as it comes."""

    def __init__(
        self, log: BinaryIO | None, line: Callable[[str], None] | None, *, newest: bool = False
    ) -> None:
        self.dropped = False
        self._log, self._line, self._newest = log, line, newest
        self._kept: deque[bytes] = deque()
        self._size_bytes = 0
        self._partial = b""

    def drain(self, pipe: int) -> bool:
        block = os.read(pipe, _BLOCK_BYTES)
        self._keep(block)
        if self._log:
            self._log.write(block)
        if self._line:
            *whole, self._partial = (self._partial + block).split(b"\n")
            if len(self._partial) > _BLOCK_BYTES:
                whole, self._partial = [*whole, self._partial], b""
            for text in whole:
                self._line(text.decode(errors="replace").rstrip("\r"))
        return bool(block)

    def close(self) -> bytes:
        if self._line and self._partial:
            self._line(self._partial.decode(errors="replace"))
        return b"".join(self._kept)

    def _keep(self, block: bytes) -> None:
        if self.dropped and not self._newest:
            return
        self._kept.append(block)
        self._size_bytes += len(block)
        while self._size_bytes > _KEEP_BYTES:
            self._size_bytes -= len(self._kept.popleft() if self._newest else self._kept.pop())
            self.dropped = True


class _Input:
    """What a program reads from us, as far as it wants to."""

    def __init__(self, content: bytes) -> None:
        self._rest = memoryview(content)

    def feed(self, pipe: int) -> bool:
        try:
            self._rest = self._rest[os.write(pipe, self._rest[:_BLOCK_BYTES]) :]
        except BrokenPipeError:
            return False
        return bool(self._rest)


def _pump(
    program: subprocess.Popen[bytes], timeout_s: float, *, stdin: bytes, out: _Output, err: _Output
) -> bool:
    """Feed and drain the pipes until the program has ended and all was read. False: time was up first."""
    deadline = time.monotonic() + timeout_s
    # A pidfd, since the end of the output is not the end of the program, nor the other way round: what it
    # left in the background may hold the pipes.
    with os.fdopen(os.pidfd_open(program.pid), "rb", 0) as running, selectors.DefaultSelector() as ready:
        ready.register(running, selectors.EVENT_READ, lambda _: False)
        ready.register(_pipe(program.stdout), selectors.EVENT_READ, out.drain)
        ready.register(_pipe(program.stderr), selectors.EVENT_READ, err.drain)
        if stdin:
            os.set_blocking(_pipe(program.stdin).fileno(), False)
            ready.register(_pipe(program.stdin), selectors.EVENT_WRITE, _Input(stdin).feed)
        while ready.get_map() and (left := deadline - time.monotonic()) > 0:
            for key, _ in ready.select(left):
                if not key.data(key.fd):
                    stream = cast(IO[bytes], key.fileobj)
                    ready.unregister(stream)
                    stream.close()
                    if stream is running:
                        deadline = min(deadline, time.monotonic() + _LINGER_S)
        return running.closed


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None  # noqa: S101 - PIPE was asked for
    return stream


def end(program: subprocess.Popen[bytes]) -> None:
    """End the program's whole group: politely, then not. It must lead a session of its own."""
    try:
        _send(program, signal.SIGTERM)
        deadline = time.monotonic() + _GRACE_S
        while (program.poll() is None or _lives(program.pid)) and time.monotonic() < deadline:
            time.sleep(_POLL_S)
    finally:
        _send(program, signal.SIGKILL)
        program.wait()


def _send(program: subprocess.Popen[bytes], sign: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(program.pid, sign)


def _lives(group: int) -> bool:
    """Whether somebody of the group runs. The dead stay members until a container's init reaps them."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it ended while we looked
            state, _, its_group, *_ = stat.read_text(errors="replace").rpartition(")")[2].split()
            if int(its_group) == group and state != "Z":
                return True
    return False
