"""Processes that die while they append: what was said to be appended is there, once, and the chain holds."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from immutag.core.facts import Held, Stream
from immutag.ledger.sqlite import SqliteLedger
from tests.parts.appending import held

pytestmark = pytest.mark.slow

WAIT_S = 120


def start(path: Path, *arguments: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.parts.appending", str(path), *map(str, arguments)],
        stdout=subprocess.PIPE,
    )


def run(path: Path, *arguments: object) -> int:
    process = start(path, *arguments)
    process.communicate(timeout=WAIT_S)
    return process.returncode


def reasons(path: Path, stream: str) -> list[str]:
    with SqliteLedger(path, actor="auditor@here") as ledger:
        ledger.verify()
        return [entry.fact.reason for entry in ledger.stream(Stream(stream)) if isinstance(entry.fact, Held)]


@pytest.mark.parametrize(("when", "kept"), [("before", 0), ("within", 0), ("after", 1)])
@pytest.mark.parametrize("at", [0, 3])
def test_an_append_is_there_or_not_and_never_half(tmp_path: Path, when: str, kept: int, at: int) -> None:
    path = tmp_path / "new" / "ledger.db"
    if when == "within" and at == 0:
        assert run(path, "first", 1) == 0
    killed = start(path, "a", 10, when, at)
    said, _ = killed.communicate(timeout=WAIT_S)
    assert killed.returncode == -signal.SIGKILL
    assert said.split() == [str(n + 1).encode() for n in range(at)]
    assert reasons(path, "a") == [f"a {n}" for n in range(at + kept)]


def test_after_a_kill_the_next_append_goes_on_at_once(tmp_path: Path) -> None:
    """No lock is left behind: not by one that died with a row inserted, nor with the WAL full."""
    path = tmp_path / "ledger.db"
    assert run(path, "a", 5) == 0
    for when in ("before", "within", "after"):
        assert run(path, "b", 5, when, 2) == -signal.SIGKILL
        with SqliteLedger(path, actor="next@here", timeout_s=0.5) as ledger:
            version = len(ledger.stream(Stream("a")))
            assert ledger.append(Stream("a"), held("next"), after=version).version == version + 1
            ledger.verify()


@pytest.mark.parametrize("after_lines", [1, 2, 5, 9, 17])
def test_a_process_killed_under_load_loses_nothing_that_it_had_said(tmp_path: Path, after_lines: int) -> None:
    """Three append as fast as they can; one is killed wherever it happens to be, the others go on."""
    path = tmp_path / "ledger.db"
    others = [start(path, f"other:{n}", 40) for n in range(2)]
    victim = start(path, "victim", 100_000)
    assert victim.stdout
    said = [int(victim.stdout.readline()) for _ in range(after_lines)]
    victim.kill()
    said += [int(line) for line in victim.stdout.read().split()]
    victim.communicate(timeout=WAIT_S)
    assert victim.returncode == -signal.SIGKILL
    for other in others:
        other.communicate(timeout=WAIT_S)
        assert other.returncode == 0
    there = reasons(path, "victim")
    assert there == [f"victim {n}" for n in range(len(there))]
    assert len(said) <= len(there) <= len(said) + 1  # the last one may have been appended and not yet said
    for n in range(2):
        assert reasons(path, f"other:{n}") == [f"other:{n} {number}" for number in range(40)]


def test_one_killed_while_it_makes_the_ledger_leaves_nothing_in_the_way(tmp_path: Path) -> None:
    """Killed at each statement that makes the file: the next process makes the rest of it."""
    script = (
        "import os, signal, sqlite3, sys\n"
        "from pathlib import Path\n"
        "from immutag.core.facts import Stream\n"
        "from immutag.ledger import sqlite_file\n"
        "from immutag.ledger.sqlite import SqliteLedger\n"
        "from tests.parts.appending import die, held\n"
        "left = [int(sys.argv[2])]\n"
        "def count(sql):\n"
        "    left[0] -= 1\n"
        "    if left[0] < 0: die()\n"
        "connect = sqlite_file._connect\n"
        "def traced(path, timeout_s):\n"
        "    connection = connect(path, timeout_s)\n"
        "    connection.set_trace_callback(count)\n"
        "    return connection\n"
        "sqlite_file._connect = traced\n"
        "with SqliteLedger(Path(sys.argv[1]), actor='victim@here') as ledger:\n"
        "    ledger.append(Stream('a'), held('a'), after=0)\n"
    )
    for statement in range(100):
        path = tmp_path / str(statement) / "ledger.db"
        died = subprocess.run(
            [sys.executable, "-c", script, str(path), str(statement)], check=False
        ).returncode
        with SqliteLedger(path, actor="next@here", timeout_s=5) as ledger:
            version = len(ledger.stream(Stream("a")))
            assert ledger.append(Stream("a"), held("b"), after=version).version == version + 1
            assert ledger.verify().size == version + 1
        if died == 0:
            break
        assert died == -signal.SIGKILL
    assert 15 < statement < 99
