"""Run a command, and fail if any process that it started, however far removed, outlives it.

Orphans of ours become our children (a subreaper, prctl(2)), so daemons that left their session are seen too.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36
_PATIENCE_S = 5.0  # a server that was told to end may take a moment


def main(argv: list[str]) -> int:
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    told: list[int] = []
    for sign in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        # Before the command starts: a signal that we had inherited as ignored would be ignored there as well.
        signal.signal(sign, lambda number, _: told.append(number))
    command = subprocess.Popen(argv)
    for sign in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(sign, lambda number, _: command.send_signal(number))
    for number in told:
        command.send_signal(number)
    status = command.wait()
    left = _left(time.monotonic() + _PATIENCE_S)
    for pid, words in left.items():
        print(f"left running: {pid} {words}", file=sys.stderr)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return status or int(bool(left))


def _left(deadline: float) -> dict[int, str]:
    """Our descendants that still live, once they had time to end."""
    while True:
        _reap()
        found = _descendants()
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(0.1)


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _descendants() -> dict[int, str]:
    parents: dict[int, int] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if state != "Z":
            parents[int(folder.name)] = int(parent)
    found: dict[int, str] = {}
    wanted = {os.getpid()}
    while wanted:
        wanted = {pid for pid, parent in parents.items() if parent in wanted}
        found |= {pid: _words(pid) for pid in wanted}
    return found


def _words(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except (FileNotFoundError, ProcessLookupError):
        return "(ended by now)"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
