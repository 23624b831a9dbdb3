"""Who holds an environment, and until when. No lock waits for a person (DR-014)."""

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from immutag.core.errors import LedgerConflict
from immutag.core.frozen import frozen


def holder(run: str | None) -> str:
    """This process: its machine and boot, its process id and when that began, and the CI run's address."""
    return " ".join(filter(None, (_machine(), f"pid={os.getpid()}", f"start={_start(os.getpid())}", run)))


def is_gone(text: str) -> bool:
    """Whether the holder ran on this machine, in this boot, and is dead. Elsewhere nobody can know."""
    machine, pid, start, *_ = [*text.split(" "), "", "", ""]
    if machine != _machine() or not pid.removeprefix("pid=").isdigit():
        return False
    return _start(int(pid.removeprefix("pid="))) != start.removeprefix("start=")


def _machine() -> str:
    """Hostname, boot and process namespace: a container with the same hostname is another machine."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    namespace = Path("/proc/self/ns/pid")
    try:
        return f"{os.uname().nodename}/{boot.read_text()[:8]}/{namespace.readlink().name.strip('pid:[]')}"
    except OSError:
        return os.uname().nodename


def _start(pid: int) -> str:
    """When the process began, in clock ticks since boot; empty if it does not exist or has ended."""
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(") ")[2].split()
    except OSError:
        return ""
    return "" if after_name[0] in "ZX" else after_name[19]


@frozen()
class Lease:
    """The time that our acts have. `until` is what the ledger says; the deadline is our own clock's.

    Both count: a clock may be set, and a machine that sleeps does not count the time (DR-014).
    """

    holder: str
    until: str
    deadline: float

    @classmethod
    def lasting(cls, seconds: float, *, run: str | None) -> "Lease":
        until = datetime.now(UTC) + timedelta(seconds=seconds)
        text = until.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return cls(holder(run), text, time.monotonic() + seconds)

    def bound(self, timeout_s: float) -> float:
        """At most this long, and never beyond the lease. Raises LedgerConflict when it is over."""
        by_the_ledger_s = (datetime.fromisoformat(self.until) - datetime.now(UTC)).total_seconds()
        left = min(self.deadline - time.monotonic(), by_the_ledger_s)
        if left <= 0:
            raise LedgerConflict(
                "the lease ran out before the deployment ended",
                expected=f"to be done by {self.until}",
                found="no time left for another act",
                remedy="raise the environment's timeout, then run the command again",
            )
        return min(timeout_s, left)


def is_abandoned(holder: str, until: str) -> bool:
    """Whether nobody can be at work under this lease any more: its end has passed, or its holder is dead."""
    return datetime.fromisoformat(until) <= datetime.now(UTC) or is_gone(holder)
