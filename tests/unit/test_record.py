"""Facts that hold whatever else happens to a stream meanwhile, in a real ledger that others write to."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from immutag.core.errors import LedgerConflict, PolicyViolation
from immutag.core.facts import Held, ReleasedHold, Stopped, Stream
from immutag.core.values import EnvironmentName, GitSha, Repository
from immutag.ledger.sqlite import SqliteLedger
from immutag.usecases.hold import hold, lift
from immutag.usecases.record import append_anyway, append_while
from immutag.usecases.state import state_of

REPOSITORY = Repository("registry.example", "owner/api")
NAME = EnvironmentName("production")
STREAM = Stream.environment(REPOSITORY, NAME)
OURS, THEIRS = (Held(REPOSITORY, NAME, reason, None) for reason in ("ours", "theirs"))


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[SqliteLedger]:
    with closing(SqliteLedger(tmp_path / "ledger.db", actor="tester")) as opened:
        yield opened


def told(ledger: SqliteLedger) -> list[object]:
    return [entry.fact for entry in ledger.stream(STREAM)]


def test_a_fact_is_appended_after_what_others_told_meanwhile(ledger: SqliteLedger) -> None:
    """`still` is asked between the look and the append: there the others are faster, three times."""

    def still() -> bool:
        if len(told(ledger)) < 3:
            ledger.append(STREAM, THEIRS, after=len(told(ledger)))
        return True

    assert append_while(ledger, STREAM, OURS, still=still).version == 4
    assert told(ledger) == [THEIRS, THEIRS, THEIRS, OURS]


def test_what_no_longer_holds_is_not_told(ledger: SqliteLedger) -> None:
    with pytest.raises(LedgerConflict):
        append_while(ledger, STREAM, OURS, still=lambda: False)
    assert told(ledger) == []


def test_what_stopped_holding_while_others_were_faster_is_not_told(ledger: SqliteLedger) -> None:
    def still() -> bool:
        if told(ledger):
            return False
        ledger.append(STREAM, THEIRS, after=0)
        return True

    with pytest.raises(LedgerConflict):
        append_while(ledger, STREAM, OURS, still=still)
    assert told(ledger) == [THEIRS]


def test_a_ledger_that_cannot_be_written_does_not_hide_why_a_command_stopped(tmp_path: Path) -> None:
    error = PolicyViolation("held", expected="x", found="y", remedy="z")
    stopped = Stopped.by(error, sha=GitSha("a" * 40), repository=REPOSITORY, command="deploy", stage="x")
    (tmp_path / "ledger.db").write_bytes(b"no database at all" * 100)
    with closing(SqliteLedger(tmp_path / "ledger.db", actor="tester")) as damaged:
        append_anyway(damaged, STREAM, stopped)
    assert (tmp_path / "ledger.db").read_bytes() == b"no database at all" * 100


def test_a_hold_is_held_until_it_is_lifted_once(ledger: SqliteLedger) -> None:
    hold(NAME, "ours", canonical=REPOSITORY, ledger=ledger, stream=STREAM)
    hold(NAME, "theirs", canonical=REPOSITORY, ledger=ledger, stream=STREAM)
    assert state_of(ledger, STREAM).hold == "theirs"
    assert lift(NAME, "mended", canonical=REPOSITORY, ledger=ledger, stream=STREAM)
    assert not state_of(ledger, STREAM).held
    assert not lift(NAME, "again", canonical=REPOSITORY, ledger=ledger, stream=STREAM)
    assert told(ledger) == [OURS, THEIRS, ReleasedHold(REPOSITORY, NAME, "mended")]
