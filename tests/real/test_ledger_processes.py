"""One ledger and many real processes, a folder that may not be written to, and a disk that is full."""

import os
import resource
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from immutag.core.errors import ConfigInvalid, LedgerConflict
from immutag.core.facts import Stream
from immutag.ledger import sqlite_errors
from immutag.ledger.export import export
from immutag.ledger.sqlite import SqliteLedger
from tests.parts.appending import held

PROCESSES = 50
EACH = 4
WAIT_S = 240


def appending(path: Path, *arguments: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.parts.appending", str(path), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@pytest.mark.slow
def test_fifty_processes_that_make_the_ledger_lose_nothing_and_have_one_order(tmp_path: Path) -> None:
    """None exists when they start: making the file, its WAL and its tables is part of the race."""
    path = tmp_path / "new" / "folder" / "ledger.db"
    running = [appending(path, f"stream:{n}", EACH) for n in range(PROCESSES)]
    for each in running:
        _, errors = each.communicate(timeout=WAIT_S)
        assert each.returncode == 0, errors.decode()
    with SqliteLedger(path, actor="auditor@here") as ledger:
        assert ledger.verify().size == PROCESSES * EACH
        entries = list(ledger.entries())
        assert len({entry.actor for entry in entries}) == PROCESSES
        for n in range(PROCESSES):
            facts = [entry.fact for entry in ledger.stream(Stream(f"stream:{n}"))]
            assert facts == [held(f"stream:{n} {number}") for number in range(EACH)]


def test_of_many_processes_that_want_one_version_one_gets_it(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    running = [appending(path, "claim", 1) for _ in range(12)]
    ends = Counter()  # type: Counter[bool]
    for each in running:
        out, errors = each.communicate(timeout=WAIT_S)
        ends[each.returncode == 0] += 1
        assert out == b"" if each.returncode else b"LedgerConflict" not in errors
    with SqliteLedger(path, actor="auditor@here") as ledger:
        # a process that starts after another has ended appends the next version
        versions = [entry.version for entry in ledger.stream(Stream("claim"))]
        assert versions == list(range(1, ends[True] + 1))
        assert ledger.verify().size == ends[True] >= 1


def test_python_and_sqlite_themselves_can_check_an_export(tmp_path: Path) -> None:
    """With nothing of ours: the export, `hashlib` and the rules of DR-017."""
    with SqliteLedger(tmp_path / "ledger.db", actor="tester@here") as ledger:
        for n in range(5):
            ledger.append(Stream("a"), held(f"é\n{n}"), after=n)
        lines = "\n".join(export(ledger))
        head = ledger.head()
    script = (
        "import sys, json, hashlib\n"
        "previous = '0' * 64\n"
        "for line in sys.stdin:\n"
        "    entry = json.loads(line)\n"
        "    hash = entry.pop('hash')\n"
        "    assert entry['previous'] == previous\n"
        "    text = json.dumps(entry, ensure_ascii=False, sort_keys=True, separators=(',', ':'))\n"
        "    assert hashlib.sha256(b'\\0' + text.encode()).hexdigest() == hash\n"
        "    previous = hash\n"
        "print(entry['sequence'], previous)\n"
    )
    done = subprocess.run(
        [sys.executable, "-X", "utf8", "-c", script], input=lines.encode(), capture_output=True, check=True
    )
    assert done.stdout.decode().split() == [str(head.size), head.hash]


def test_a_ledger_that_somebody_holds_for_too_long_is_a_conflict(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with SqliteLedger(path, actor="tester@here", timeout_s=0.2) as ledger:
        ledger.append(Stream("a"), held("a"), after=0)
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerConflict, match="others hold"):
            ledger.append(Stream("a"), held("b"), after=1)
        assert len(ledger.stream(Stream("a"))) == 1  # reading does not wait
        other.close()
        assert ledger.append(Stream("a"), held("b"), after=1).version == 2


def test_one_that_makes_the_ledger_waits_where_sqlite_itself_would_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another holds the still empty file: turning it into a WAL file fails at once, not after a wait."""
    path = tmp_path / "ledger.db"
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        other.close()

    monkeypatch.setattr(sqlite_errors, "time", SimpleNamespace(monotonic=time.monotonic, sleep=wait))
    with SqliteLedger(path, actor="tester@here") as ledger:
        assert ledger.append(Stream("a"), held("a"), after=0).sequence == 1
    assert len(waits) == 1


@contextmanager
def as_nobody() -> Iterator[None]:
    """Root may write everywhere, so root's tests look as somebody who may not."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def kept_away() -> Iterator[Path]:
    """A ledger in a folder that may be read and not written."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        with SqliteLedger(folder / "ledger.db", actor="tester@here") as ledger:
            ledger.append(Stream("a"), held("a"), after=0)
        folder.chmod(0o555)
        (folder / "ledger.db").chmod(0o444)
        yield folder
        folder.chmod(0o755)


def test_a_ledger_that_may_only_be_read_is_read_and_verified(kept_away: Path) -> None:
    before = sorted(kept_away.iterdir())
    with as_nobody(), SqliteLedger(kept_away / "ledger.db", actor="reader@here") as ledger:
        assert ledger.verify().size == 1
        assert len(ledger.stream(Stream("a"))) == 1
        with pytest.raises(ConfigInvalid) as stopped:
            ledger.append(Stream("a"), held("b"), after=1)
    assert "permission" in stopped.value.expected
    assert sorted(kept_away.iterdir()) == before


def test_a_place_that_cannot_hold_a_ledger_is_said_in_words(kept_away: Path, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with as_nobody():
        for path in (kept_away / "other.db", kept_away / "new" / "ledger.db"):
            with pytest.raises(ConfigInvalid), SqliteLedger(path, actor="x") as ledger:
                ledger.append(Stream("a"), held("a"), after=0)
    for path in (file / "ledger.db", tmp_path):
        with pytest.raises(ConfigInvalid), SqliteLedger(path, actor="x") as ledger:
            ledger.append(Stream("a"), held("a"), after=0)


def test_a_disk_that_takes_no_more_is_said_in_words_and_harms_nothing(tmp_path: Path) -> None:
    """The system refuses to let the files grow; what was appended before stays."""
    path = tmp_path / "ledger.db"
    limit, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    with SqliteLedger(path, actor="tester@here") as ledger:
        ledger.append(Stream("a"), held("a"), after=0)
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, most))
        try:
            with pytest.raises(ConfigInvalid) as stopped:
                for n in range(1, 20):
                    ledger.append(Stream("a"), held("long " * 10_000), after=n)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, most))
        assert "room on the disk" in stopped.value.expected
        size = ledger.verify().size
        assert ledger.append(Stream("a"), held("b"), after=size).sequence == size + 1


def test_who_may_only_read_sees_what_others_append_meanwhile(kept_away: Path) -> None:
    """`history --follow` of somebody who has no right to write."""
    path = kept_away / "ledger.db"
    with SqliteLedger(path, actor="reader@here") as reader:
        with as_nobody():
            assert reader.head().size == 1
        kept_away.chmod(0o755)
        path.chmod(0o644)
        for n in range(1, 4):
            with SqliteLedger(path, actor="writer@here") as writer:
                writer.append(Stream("a"), held("b"), after=n)
        kept_away.chmod(0o555)
        path.chmod(0o444)
        with as_nobody():
            assert [entry.sequence for entry in reader.entries(after=1)] == [2, 3, 4]
            assert reader.verify().size == 4


def test_a_link_to_a_ledger_is_that_ledger(kept_away: Path) -> None:
    """Who may write is asked of the folder that the ledger is in, not of the link's."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o777)
        with as_nobody(), SqliteLedger(folder / "ledger.db", actor="x") as ledger:
            ledger.append(Stream("a"), held("a"), after=0)
        kept_away.chmod(0o755)
        (kept_away / "link.db").symlink_to(folder / "ledger.db")
        (folder / "link.db").symlink_to(kept_away / "ledger.db")
        kept_away.chmod(0o555)
        with as_nobody():
            with SqliteLedger(kept_away / "link.db", actor="x") as ledger:
                assert ledger.append(Stream("a"), held("b"), after=1).sequence == 2
            with SqliteLedger(folder / "link.db", actor="x") as ledger:
                assert ledger.verify().size == 1


def test_who_looks_while_another_makes_the_ledger_sees_none_or_all_of_it(tmp_path: Path) -> None:
    for number in range(100):
        path = tmp_path / f"{number}.db"

        def make(path: Path = path) -> None:
            with SqliteLedger(path, actor="maker@here") as ledger:
                ledger.append(Stream("a"), held("a"), after=0)

        maker = threading.Thread(target=make)
        maker.start()
        for _ in range(40):
            with SqliteLedger(path, actor="reader@here") as reader:
                assert reader.head().size in (0, 1)
        maker.join()
