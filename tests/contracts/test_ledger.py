"""What every ledger does, whatever it is kept in. A backend joins by one line in BACKENDS."""

import secrets
import subprocess
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from immutag.core.errors import ConfigInvalid, LedgerConflict, LedgerCorrupt
from immutag.core.facts import Claimed, Fact, Held, Requested, Stream
from immutag.core.known_head import KnownHead
from immutag.core.merkle import EMPTY_ROOT, root_of
from immutag.core.values import Digest, EnvironmentName, GitSha, Repository, RepositoryType
from immutag.git.remote_branch import RemoteBranch
from immutag.ledger import Checkpoint, Ledger, against
from immutag.ledger.chain import START
from immutag.ledger.export import export
from immutag.ledger.git import GitLedger
from immutag.ledger.head import Head, head_of
from immutag.ledger.sqlite import SqliteLedger
from tests.parts.facts import FACTS, STREAMS

Clock = Callable[[], datetime]
Open = Callable[..., Ledger]

REPOSITORY = Repository.parse("ghcr.io/o/api")
PRODUCTION, STAGING = EnvironmentName("production"), EnvironmentName("staging")
STREAM = Stream.environment(REPOSITORY, PRODUCTION)


def now() -> datetime:
    return datetime.now(UTC)


def sqlite(folder: Path, clock: Clock) -> Ledger:
    return SqliteLedger(folder / "new" / "ledger.db", actor="tester@here", clock=clock)


def git(folder: Path, clock: Clock) -> Ledger:
    """Each opens it as another CI job would: with nothing on its machine."""
    remote = folder.with_name(f"{folder.name}-remote")
    if not remote.exists():
        subprocess.run(["git", "init", "--quiet", "--bare", remote], check=True)
    cache = folder / "new" / secrets.token_hex(4)
    branch = RemoteBranch(cache / "repo.git", f"file://{remote}", "immutag-ledger")
    return GitLedger(cache, branch, actor="tester@here", clock=clock)


BACKENDS: dict[str, Callable[[Path, Clock], Ledger]] = {"sqlite": sqlite, "git": git}


@pytest.fixture(params=["sqlite", pytest.param("git", marks=pytest.mark.slow)])
def open_ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Opens the same ledger each time, as another process would."""
    opened: list[Ledger] = []

    def open_it(clock: Clock = now, folder: Path = tmp_path) -> Ledger:
        opened.append(BACKENDS[request.param](folder, clock))
        return opened[-1]

    yield open_it
    for ledger in opened:
        ledger.close()


@pytest.fixture
def ledger(open_ledger: Open) -> Ledger:
    return open_ledger()


def held(reason: str, environment: EnvironmentName = PRODUCTION) -> Held:
    return Held(REPOSITORY, environment, reason, None)


def sha(digits: str) -> GitSha:
    return GitSha(digits.ljust(40, "0"))


def requested(commit: GitSha) -> Requested:
    return Requested(commit, REPOSITORY, RepositoryType.CANONICAL, "main", None)


def claimed(commit: GitSha, digest: str) -> Claimed:
    return Claimed(commit, REPOSITORY, Digest("sha256:" + digest * 64), "application/x", 7)


def reasons(ledger: Ledger, **how: int) -> list[str]:
    return [entry.fact.reason for entry in ledger.stream(STREAM, **how) if isinstance(entry.fact, Held)]


def test_a_ledger_that_nobody_wrote_to_is_empty_and_reading_makes_nothing(
    ledger: Ledger, tmp_path: Path
) -> None:
    assert ledger.head() == ledger.verify() == START == Checkpoint(0, "0" * 64)
    assert list(ledger.entries()) == list(ledger.stream(STREAM)) == []
    assert list(ledger.streams("")) == []
    assert list(ledger.recent()) == list(ledger.about(sha="00")) == []
    assert list(tmp_path.iterdir()) == []


def test_what_was_appended_is_read_by_others_in_its_order(open_ledger: Open) -> None:
    writer = open_ledger()
    made = [writer.append(STREAM, held(reason), after=n) for n, reason in enumerate("abc")]
    reader = open_ledger()
    assert list(reader.stream(STREAM)) == list(reader.entries()) == made
    assert [(entry.sequence, entry.version) for entry in made] == [(1, 1), (2, 2), (3, 3)]
    assert reader.head() == reader.verify() == Checkpoint(3, made[2].hash)
    assert [entry.previous for entry in made] == [START.hash, made[0].hash, made[1].hash]
    assert {entry.actor for entry in made} == {"tester@here"}


def test_versions_count_within_a_stream_and_sequences_over_all(ledger: Ledger) -> None:
    other = Stream.environment(REPOSITORY, STAGING)
    ledger.append(STREAM, held("a"), after=0)
    ledger.append(other, held("b"), after=0)
    entry = ledger.append(STREAM, held("c"), after=1)
    assert (entry.sequence, entry.version) == (3, 2)
    assert reasons(ledger) == ["a", "c"]


def test_a_stream_that_moved_on_is_a_conflict_and_nothing_is_written(open_ledger: Open) -> None:
    first, second = open_ledger(), open_ledger()
    first.append(STREAM, held("first"), after=0)
    head = first.head()
    with pytest.raises(LedgerConflict) as stopped:
        second.append(STREAM, held("second"), after=0)
    assert (stopped.value.expected, stopped.value.found) == ("version 0", "version 1")
    assert second.head() == head
    second.append(STREAM, held("second"), after=1)
    assert reasons(first) == ["first", "second"]


def test_a_stream_shorter_than_it_was_seen_is_corrupt(ledger: Ledger) -> None:
    ledger.append(STREAM, held("a"), after=0)
    with pytest.raises(LedgerCorrupt):
        ledger.append(STREAM, held("b"), after=2)
    assert reasons(ledger) == ["a"]


def test_of_a_stream_the_newest_can_be_read_alone(ledger: Ledger) -> None:
    for n, reason in enumerate("abcde"):
        ledger.append(STREAM, held(reason), after=n)
    assert reasons(ledger, last=2) == ["d", "e"]
    assert reasons(ledger, last=5) == reasons(ledger, last=50) == list("abcde")
    assert reasons(ledger, last=0) == []


def test_streams_come_by_their_beginning_and_the_newest_first(ledger: Ledger) -> None:
    for name in ("release:a:1", "release:b:1", "release:a:2", "registry:a"):
        ledger.append(Stream(name), held("x"), after=0)
    ledger.append(Stream("release:a:1"), held("y"), after=1)
    assert [str(stream) for stream in ledger.streams("release:a:")] == ["release:a:1", "release:a:2"]
    assert [str(stream) for stream in ledger.streams("release:", limit=2)] == ["release:a:1", "release:a:2"]
    assert len(ledger.streams("")) == 4
    assert list(ledger.streams("release:a:1:")) == list(ledger.streams("%")) == []


def test_entries_are_found_by_commit_and_digest(ledger: Ledger) -> None:
    one, two = sha("abc1"), sha("abc2")
    ledger.append(Stream.release(REPOSITORY, one), requested(one), after=0)
    ledger.append(Stream.release(REPOSITORY, two), requested(two), after=0)
    ledger.append(Stream.release(REPOSITORY, one), claimed(one, "d"), after=1)
    ledger.append(Stream.release(REPOSITORY, two), claimed(two, "d"), after=1)
    digest = claimed(one, "d").digest

    def numbers(**what: object) -> list[int]:
        return [entry.sequence for entry in ledger.about(**what)]  # type: ignore[arg-type] # by name

    assert numbers(sha="abc") == [4, 3, 2, 1]
    assert numbers(sha="abc1") == numbers(sha=str(one)) == [3, 1]
    assert numbers(digest=digest) == [4, 3]
    assert numbers(sha="abc2", digest=digest) == [4]
    assert numbers(sha="abc", limit=1) == [4]
    assert numbers(sha="abd") == numbers(digest=claimed(one, "e").digest) == numbers(sha="%") == []


def test_the_newest_entries_come_first_of_a_kind_and_of_an_environment(ledger: Ledger) -> None:
    commit = sha("1")
    ledger.append(STREAM, held("a"), after=0)
    ledger.append(Stream.environment(REPOSITORY, STAGING), held("b", STAGING), after=0)
    ledger.append(Stream.release(REPOSITORY, commit), requested(commit), after=0)
    ledger.append(STREAM, held("c"), after=1)
    assert [entry.sequence for entry in ledger.recent(2)] == [4, 3]
    assert [entry.sequence for entry in ledger.recent()] == [4, 3, 2, 1]
    assert [entry.sequence for entry in ledger.recent(kind=Held)] == [4, 2, 1]
    assert [entry.sequence for entry in ledger.recent(kind=Held, environment=PRODUCTION)] == [4, 1]
    assert [entry.sequence for entry in ledger.recent(1, environment=STAGING)] == [2]


def test_entries_go_on_after_any_of_them(ledger: Ledger) -> None:
    for n, reason in enumerate("abc"):
        ledger.append(STREAM, held(reason), after=n)
    assert [entry.sequence for entry in ledger.entries(after=1)] == [2, 3]
    assert list(ledger.entries(after=3)) == []
    with pytest.raises(LedgerCorrupt, match="entry 4"):
        list(ledger.entries(after=4))


def test_appending_while_all_is_read_neither_waits_nor_breaks(ledger: Ledger) -> None:
    for n in range(1200):
        ledger.append(STREAM, held(str(n)), after=n)
    reading = ledger.entries()
    assert next(reading).sequence == 1
    ledger.append(STREAM, held("meanwhile"), after=1200)
    assert [entry.sequence for entry in reading] == list(range(2, 1202))


def test_time_never_goes_back_when_the_clock_does(open_ledger: Open) -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, 678900, UTC)
    clock = iter([moment, moment - timedelta(days=1), moment + timedelta(milliseconds=1)])
    ledger = open_ledger(lambda: next(clock))
    times = [ledger.append(STREAM, held("x"), after=n).time for n in range(3)]
    assert times == ["2026-01-02T03:04:05.678Z", "2026-01-02T03:04:05.678Z", "2026-01-02T03:04:05.679Z"]
    assert ledger.verify().size == 3


def test_a_saved_head_shows_whether_the_ledger_goes_on_from_it(ledger: Ledger) -> None:
    ledger.append(STREAM, held("a"), after=0)
    saved = ledger.head()
    ledger.append(STREAM, held("b"), after=1)
    for good in (None, START, saved, ledger.head()):
        assert ledger.verify(good) == ledger.head()
    for bad in (Checkpoint(3, saved.hash), Checkpoint(1, ledger.head().hash), Checkpoint(2, saved.hash)):
        with pytest.raises(LedgerCorrupt, match=f"entry {bad.size}"):
            ledger.verify(bad)


def test_the_root_is_that_of_the_entries_hashes(ledger: Ledger) -> None:
    assert head_of(ledger) == Head(0, START.hash, EMPTY_ROOT)
    made: list[bytes] = []
    for n in range(5):
        made.append(bytes.fromhex(ledger.append(STREAM, held(str(n)), after=n).hash))
        assert head_of(ledger) == Head(n + 1, made[-1].hex(), root_of(made))
    assert list(ledger.leaves(3)) == made[:3]
    assert list(ledger.leaves(0)) == []
    with pytest.raises(LedgerCorrupt, match="entry 6"):
        list(ledger.leaves(6))


def known(head: Head, source: str = "somebody") -> KnownHead:
    return KnownHead(head.size, None, head.root, source)


def test_a_ledger_that_went_on_agrees_with_every_head_that_it_had(ledger: Ledger) -> None:
    heads = [head_of(ledger)]
    for n in range(6):
        ledger.append(STREAM, held(str(n)), after=n)
        heads.append(head_of(ledger))
    everything = [known(head) for head in heads] + [
        KnownHead(head.size, head.hash, None, "x") for head in heads
    ]
    assert against.verify(ledger, reversed(everything)) == heads[-1]
    assert against.verify(ledger) == heads[-1]


def written(open_ledger: Open, folder: Path, reasons: str) -> Ledger:
    """A ledger of one moment: the same entries are the same ledger."""
    ledger = open_ledger(lambda: datetime(2026, 1, 2, tzinfo=UTC), folder)
    for n, reason in enumerate(reasons):
        ledger.append(STREAM, held(reason), after=n)
    return ledger


def test_a_cut_tail_or_an_old_copy_shows_against_a_root(open_ledger: Open, tmp_path: Path) -> None:
    whole = head_of(written(open_ledger, tmp_path / "whole", "abcde"))
    early = head_of(written(open_ledger, tmp_path / "early", "ab"))
    old = written(open_ledger, tmp_path / "old", "abc")
    with pytest.raises(LedgerCorrupt, match="entry 4 is gone") as stopped:
        against.verify(old, [known(whole, "the registry"), known(early, "a friend")])
    assert "5 entries, as the registry says" in stopped.value.expected
    assert "ends with entry 3; it agrees up to entry 2 (a friend)" in stopped.value.found
    with pytest.raises(LedgerCorrupt, match="entry 1 is gone"):
        against.verify(written(open_ledger, tmp_path / "none", ""), [known(early)])


@pytest.mark.parametrize("size", [4, 5, 7])
def test_a_fork_shows_against_a_root_and_against_a_hash(open_ledger: Open, tmp_path: Path, size: int) -> None:
    early = known(head_of(written(open_ledger, tmp_path / "early", "abc")), "a friend")
    ours = written(open_ledger, tmp_path / "ours", "abcdefgh")
    theirs = head_of(written(open_ledger, tmp_path / "theirs", "abcXYZWV"[:size]))
    for head in (known(theirs, "the registry"), KnownHead(size, theirs.hash, None, "the registry")):
        with pytest.raises(LedgerCorrupt, match=f"entry {size}") as stopped:
            against.verify(ours, [head, early])
        assert "another history" in stopped.value.found
        assert "they agree up to entry 3 (a friend)" in stopped.value.found
    assert against.verify(ours, [early]) == head_of(ours)


def test_a_closed_ledger_opens_again_when_it_is_used(ledger: Ledger) -> None:
    ledger.append(STREAM, held("a"), after=0)
    ledger.close()
    ledger.close()
    assert reasons(ledger) == ["a"]


def test_text_that_is_not_unicode_is_refused_and_nothing_is_written(ledger: Ledger) -> None:
    ledger.append(STREAM, held("a"), after=0)
    with pytest.raises(ConfigInvalid):
        ledger.append(STREAM, held("\udcff"), after=1)
    assert ledger.append(STREAM, held("b\0\u2028\U0001f600"), after=1).sequence == 2
    assert reasons(ledger) == ["a", "b\0\u2028\U0001f600"]


def test_threads_share_a_ledger(ledger: Ledger) -> None:
    def work(number: int) -> None:
        for n in range(20):
            ledger.append(Stream(f"thread:{number}"), held(str(n)), after=n)
            ledger.stream(Stream(f"thread:{number}"))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ledger.verify().size == 160


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pairs=st.lists(st.tuples(STREAMS, FACTS), max_size=12))
def test_whatever_is_appended_is_read_and_exported_as_it_was(
    open_ledger: Open, tmp_path_factory: pytest.TempPathFactory, pairs: list[tuple[Stream, Fact]]
) -> None:
    ledger = open_ledger(folder=tmp_path_factory.mktemp("ledger"))
    versions: dict[Stream, int] = {}
    made = []
    for stream, fact in pairs:
        made.append(ledger.append(stream, fact, after=versions.get(stream, 0)))
        versions[stream] = made[-1].version
    assert [entry.fact for entry in ledger.entries()] == [fact for _, fact in pairs]
    for stream in versions:
        assert list(ledger.stream(stream)) == [entry for entry in made if entry.stream == stream]
    assert ledger.verify().size == len(pairs) == len(list(export(ledger)))
