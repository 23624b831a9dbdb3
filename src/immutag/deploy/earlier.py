"""Programs of an earlier immutag that was killed: they still act on the environment, so we wait for them.

The kernel's list of processes is asked: it cannot go stale, and nobody has to clear it.
"""

import os
import time
from collections.abc import Iterator
from pathlib import Path

from immutag.core.errors import DeployFailure

MARK = "IMMUTAG_ACTS_ON"
"""The variable by which such a program is known; its value names the environment."""

_POLL_S = 0.02


def wait_for_earlier(program: str, mark: str, *, until: float) -> None:
    """Return when no `program` with this mark runs any more. Raises DeployFailure at `until` (monotonic)."""
    while pids := list(_acting(program, f"{MARK}={mark}".encode())):
        if time.monotonic() >= until:
            raise DeployFailure(
                f"{program} is still at work for a command that ended",
                expected="that it ends by itself",
                found=f"process {pids[0]}",
                remedy=f"look at process {pids[0]}; then run this again",
            )
        time.sleep(_POLL_S)


def _acting(program: str, mark: bytes) -> Iterator[int]:
    """Those that we started, as leaders of their sessions (`process.run`); what they leave behind is not.

    Another user's processes cannot be read, and are not ours to wait for.
    """
    for entry in os.scandir("/proc"):
        if entry.name.isdecimal() and _is(int(entry.name), Path(entry.path), program.encode(), mark):
            yield int(entry.name)


def _is(pid: int, process: Path, program: bytes, mark: bytes) -> bool:
    try:
        return (
            os.getsid(pid) == pid
            and program in (process / "cmdline").read_bytes().split(b"\0")
            and mark in (process / "environ").read_bytes().split(b"\0")
        )
    except OSError:  # it ended meanwhile
        return False
