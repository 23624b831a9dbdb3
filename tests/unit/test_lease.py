"""Who holds an environment: asked of the kernel about real processes, and of the clock."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from immutag.core.errors import LedgerConflict
from immutag.usecases.lease import Lease, holder, is_abandoned, is_gone

_SAY = "from immutag.usecases.lease import holder; print(holder({run!r}), flush=True); input()"
PAST, FUTURE = (
    (datetime.now(UTC) + timedelta(hours=hours)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    for hours in (-1, 1)
)


@contextmanager
def another_process(run: str | None = None) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Its holder's text; it lives until its standard input ends."""
    child = subprocess.Popen(
        [sys.executable, "-c", _SAY.format(run=run)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        assert child.stdout
        yield child.stdout.readline().rstrip("\n"), child
    finally:
        child.communicate(timeout=30)


def parts() -> tuple[str, str, str]:
    machine, pid, start = holder(None).split(" ")
    return machine, pid, start


def test_a_holder_names_machine_process_and_run() -> None:
    machine, pid, start, run = holder("https://ci.example/runs/7").split(" ")
    boot = Path("/proc/sys/kernel/random/boot_id").read_text()
    processes = Path("/proc/self/ns/pid").stat().st_ino
    assert machine == f"{os.uname().nodename}/{boot[:8]}/{processes}"
    assert pid == f"pid={os.getpid()}"
    assert start.removeprefix("start=").isdigit()
    assert run == "https://ci.example/runs/7"


def test_who_lives_is_not_gone() -> None:
    assert not is_gone(holder(None))
    with another_process() as (text, _):
        assert text
        assert not is_gone(text)


def test_who_has_ended_is_gone() -> None:
    with another_process() as (text, child):
        child.communicate("\n", timeout=30)
        assert is_gone(text)


def test_who_was_killed_is_gone_before_its_parent_has_asked_for_it() -> None:
    with another_process("https://ci.example/runs/7") as (text, child):
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and is not reaped
        assert is_gone(text)


def test_another_process_with_the_same_number_is_not_the_holder() -> None:
    machine, pid, start = parts()
    later = int(start.removeprefix("start=")) + 1
    assert is_gone(f"{machine} {pid} start={later}")


@pytest.mark.parametrize("part", [0, 1, 2], ids=["host", "boot", "processes of another container"])
def test_of_another_machine_nobody_can_know(part: int) -> None:
    with another_process() as (text, child):
        child.communicate("\n", timeout=30)
        machine, rest = text.split(" ", 1)
        there = machine.split("/")
        there[part] = f"not-{there[part]}"
        assert not is_gone(f"{'/'.join(there)} {rest}")


@pytest.mark.parametrize("rest", ["", " pid=", " pid=x start=1", " pid=-1 start=1"])
def test_a_holder_that_nobody_can_read_is_not_gone(rest: str) -> None:
    assert not is_gone(f"{parts()[0]}{rest}")


def test_a_lease_is_abandoned_when_its_time_has_passed_or_its_holder_is_dead() -> None:
    assert not is_abandoned(holder(None), FUTURE)
    assert is_abandoned(holder(None), PAST)
    assert is_abandoned("elsewhere/1/1 pid=1 start=1", PAST)
    assert not is_abandoned("elsewhere/1/1 pid=1 start=1", FUTURE)
    machine, pid, _ = parts()
    assert is_abandoned(f"{machine} {pid} start=1", FUTURE)


def test_a_lease_says_until_when() -> None:
    before = datetime.now(UTC)
    lease = Lease.lasting(90, run="https://ci.example/runs/7")
    until = datetime.fromisoformat(lease.until)
    assert lease.until.endswith("Z")
    assert timedelta(seconds=89) < until - before < timedelta(seconds=120)
    assert lease.holder == holder("https://ci.example/runs/7")
    assert not is_abandoned(lease.holder, lease.until)


def test_an_act_has_its_own_time_and_never_more_than_the_lease() -> None:
    lease = Lease.lasting(90, run=None)
    assert lease.bound(5) == 5
    assert 60 < lease.bound(1000) <= 90


@pytest.mark.parametrize(
    ("until", "left_s"), [(PAST, 90.0), (FUTURE, -1.0)], ids=["slept meanwhile", "clock was put back"]
)
def test_no_act_begins_when_either_clock_says_that_it_is_over(until: str, left_s: float) -> None:
    with pytest.raises(LedgerConflict):
        Lease(holder(None), until, time.monotonic() + left_s).bound(5)


@pytest.mark.parametrize("seconds", [0, -1])
def test_no_act_begins_after_the_lease(seconds: float) -> None:
    lease = Lease.lasting(seconds, run=None)
    with pytest.raises(LedgerConflict) as caught:
        lease.bound(5)
    assert lease.until in caught.value.expected
