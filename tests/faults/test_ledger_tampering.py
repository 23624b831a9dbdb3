"""A ledger that somebody altered, behind our back or by accident: LEDGER_CORRUPT, and the entry named."""

import os
import random
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from immutag.core.errors import ConfigInvalid, ImmutagError, LedgerConflict, LedgerCorrupt
from immutag.core.facts import Claimed, Held, Stream
from immutag.core.values import Digest, EnvironmentName, GitSha, Repository
from immutag.ledger import Checkpoint
from immutag.ledger.chain import canonical, leaf_hash
from immutag.ledger.sqlite import SqliteLedger

REPOSITORY = Repository.parse("ghcr.io/o/api")
STREAM = Stream.environment(REPOSITORY, EnvironmentName("production"))
COMMIT = GitSha("c" * 40)
RELEASE = Stream.release(REPOSITORY, COMMIT)
SIZE = 40


def held(reason: str) -> Held:
    return Held(REPOSITORY, EnvironmentName("production"), reason, None)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A closed ledger of forty entries; entry 7 is the one claim."""
    made = tmp_path / "ledger.db"
    with SqliteLedger(made, actor="tester@here") as ledger:
        versions: dict[Stream, int] = {}
        for n in range(1, SIZE + 1):
            stream = RELEASE if n == 7 else STREAM
            claim = Claimed(COMMIT, REPOSITORY, Digest("sha256:" + "d" * 64), "application/x", 7)
            ledger.append(stream, claim if n == 7 else held(f"why {n}"), after=versions.get(stream, 0))
            versions[stream] = versions.get(stream, 0) + 1
    return made


def tamper(path: Path, *statements: str) -> None:
    """What somebody with the file can do: without the triggers, any statement."""
    connection = sqlite3.connect(path)
    connection.execute("DROP TRIGGER entries_stay")
    connection.execute("DROP TRIGGER entries_do_not_change")
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


def verify(path: Path, against: Checkpoint | None = None) -> Checkpoint:
    with SqliteLedger(path, actor="auditor@here", timeout_s=0.2) as ledger:
        return ledger.verify(against)


def named(path: Path, against: Checkpoint | None = None) -> int:
    """The first bad entry that `verify` names."""
    with pytest.raises(LedgerCorrupt) as stopped:
        verify(path, against)
    found = re.match(r"entry (\d+): ", stopped.value.found)
    assert found, stopped.value.found
    return int(found[1])


def test_without_tampering_it_is_right(path: Path) -> None:
    assert verify(path).size == SIZE


@pytest.mark.parametrize(
    "statement", ["DELETE FROM entries WHERE sequence = 7", "UPDATE entries SET hash = ''"]
)
def test_the_file_itself_refuses_to_change_or_remove_an_entry(path: Path, statement: str) -> None:
    connection = sqlite3.connect(path)
    with pytest.raises(sqlite3.IntegrityError, match="never"):
        connection.execute(statement)
    connection.close()
    assert verify(path).size == SIZE


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM entries WHERE sequence = 7",
        "UPDATE entries SET text = replace(text, 'ddd', 'eee') WHERE sequence = 7",
        "UPDATE entries SET text = text || ' ' WHERE sequence = 7",
        "UPDATE entries SET text = '' WHERE sequence = 7",
        "UPDATE entries SET text = x'ff' WHERE sequence = 7",
        "UPDATE entries SET text = CAST(text AS BLOB) WHERE sequence = 7",
        "UPDATE entries SET text = CAST(x'ed' || text AS TEXT) WHERE sequence = 7",
        "UPDATE entries SET text = 5 WHERE sequence = 7",
        "UPDATE entries SET hash = (SELECT hash FROM entries WHERE sequence = 8) WHERE sequence = 7",
        "UPDATE entries SET hash = upper(hash) WHERE sequence = 7",
        "UPDATE entries SET hash = CAST(hash AS BLOB) WHERE sequence = 7",
        "UPDATE entries SET hash = 7 WHERE sequence = 7",
        "UPDATE entries SET stream = 'release:elsewhere' WHERE sequence = 7",
        "UPDATE entries SET version = 9 WHERE sequence = 7",
        "UPDATE entries SET version = 'one' WHERE sequence = 7",
        "UPDATE entries SET type = 'pushed' WHERE sequence = 7",
        "UPDATE entries SET time = '2020-01-01T00:00:00.000Z' WHERE sequence = 7",
        "UPDATE entries SET environment = 'production' WHERE sequence = 7",
        "UPDATE entries SET repository = 'ghcr.io/o/other' WHERE sequence = 7",
        "UPDATE entries SET sha = NULL WHERE sequence = 7",
        "UPDATE entries SET digest = 'sha256:" + "e" * 64 + "' WHERE sequence = 7",
        "UPDATE entries SET sequence = 4000 WHERE sequence = 7",
        "DELETE FROM entries WHERE sequence BETWEEN 7 AND 20",
        "INSERT INTO entries SELECT 0, text, hash, 's', 1, 't', 't', '', '', '', '' FROM entries LIMIT 1",
    ],
)
def test_one_altered_row_is_named(path: Path, statement: str) -> None:
    tamper(path, statement)
    assert named(path) in ({1} if statement.startswith("INSERT") else {7})


def test_swapped_rows_are_named(path: Path) -> None:
    tamper(
        path,
        "UPDATE entries SET sequence = -1 WHERE sequence = 7",
        "UPDATE entries SET sequence = 7 WHERE sequence = 8",
        "UPDATE entries SET sequence = 8 WHERE sequence = -1",
    )
    assert named(path) == 7


def test_a_row_that_was_added_at_the_end_without_us_is_named(path: Path) -> None:
    tamper(
        path,
        f"INSERT INTO entries SELECT {SIZE + 1}, text, hash, 'copy', 1, type, time, environment, repository, "
        "sha, digest FROM entries WHERE sequence = 3",
    )
    assert named(path) == SIZE + 1


def test_a_byte_that_only_looks_the_same_when_it_is_shown_is_noticed(path: Path) -> None:
    """Readers show a byte that is not UTF-8 as U+FFFD; a text may hold that character itself."""
    with SqliteLedger(path, actor="tester@here") as ledger:
        ledger.append(RELEASE, held("\ufffd"), after=1)
    connection = sqlite3.connect(path)
    connection.text_factory = bytes
    where = f"FROM entries WHERE sequence = {SIZE + 1}"
    (text,) = connection.execute(f"SELECT text {where}").fetchone()
    connection.close()
    other = text.replace("\ufffd".encode(), b"\xff").hex()
    tamper(path, f"UPDATE entries SET text = CAST(x'{other}' AS TEXT) WHERE sequence = {SIZE + 1}")
    assert named(path) == SIZE + 1


def test_a_rewritten_entry_with_its_right_hash_is_betrayed_by_the_next(path: Path) -> None:
    """Whoever rewrites one entry must rewrite all after it, and then the head is another."""
    connection = sqlite3.connect(path)
    (text,) = connection.execute("SELECT text FROM entries WHERE sequence = 7").fetchone()
    connection.close()
    other = text.replace("d" * 64, "e" * 64)
    tamper(
        path,
        f"UPDATE entries SET text = '{other}', hash = '{leaf_hash(other)}', digest = 'sha256:{'e' * 64}' "
        "WHERE sequence = 7",
    )
    assert named(path) == 8


def test_a_cut_tail_and_a_whole_rewrite_show_against_a_saved_head(path: Path) -> None:
    saved = verify(path)
    tamper(path, f"DELETE FROM entries WHERE sequence > {SIZE - 3}")
    assert named(path, saved) == SIZE - 2
    path.unlink()
    assert named(path, saved) == 1
    with SqliteLedger(path, actor="forger@here") as ledger:
        for n in range(SIZE + 5):
            ledger.append(STREAM, held(f"another story {n}"), after=n)
    assert verify(path).size == SIZE + 5
    assert named(path, saved) == SIZE


def test_an_altered_entry_is_noticed_where_it_is_read_and_others_are_not_disturbed(path: Path) -> None:
    tamper(path, "UPDATE entries SET text = replace(text, 'ddd', 'eee') WHERE sequence = 7")
    with SqliteLedger(path, actor="tester@here") as ledger:
        reads: list[Callable[[], object]] = [
            lambda: ledger.stream(RELEASE),
            lambda: ledger.about(sha="ccc"),
            lambda: ledger.recent(kind=Claimed),
            lambda: list(ledger.entries(after=3)),
        ]
        for read in reads:
            with pytest.raises(LedgerCorrupt, match="entry 7"):
                read()
        assert len(ledger.stream(STREAM)) == SIZE - 1


def test_an_entry_missing_in_a_stream_is_noticed_where_it_is_read(path: Path) -> None:
    tamper(path, "DELETE FROM entries WHERE sequence = 20")
    with SqliteLedger(path, actor="tester@here") as ledger, pytest.raises(LedgerCorrupt, match="entry 21"):
        ledger.stream(STREAM)


def test_nothing_is_appended_to_a_damaged_tail(path: Path) -> None:
    tamper(path, f"UPDATE entries SET text = replace(text, 'why', 'how') WHERE sequence = {SIZE}")
    with SqliteLedger(path, actor="tester@here") as ledger:
        with pytest.raises(LedgerCorrupt, match=f"entry {SIZE}"):
            ledger.append(RELEASE, held("more"), after=1)
        with pytest.raises(LedgerCorrupt, match=f"entry {SIZE}"):
            ledger.head()


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE more (x)",
        "CREATE TRIGGER more AFTER INSERT ON entries BEGIN SELECT 1; END",
        "DROP INDEX entries_by_sha",
    ],
)
def test_tables_and_triggers_that_are_not_ours_are_noticed(path: Path, statement: str) -> None:
    connection = sqlite3.connect(path)
    connection.execute(statement)
    connection.close()
    with pytest.raises(LedgerCorrupt, match="damaged"):
        verify(path)


def test_dropped_triggers_are_noticed(path: Path) -> None:
    tamper(path)
    with pytest.raises(LedgerCorrupt, match="damaged") as stopped:
        verify(path)
    assert "TRIGGER" in stopped.value.found


def read_all(path: Path) -> None:
    """Everything that a command may do; whatever is wrong with the file."""
    with SqliteLedger(path, actor="tester@here", timeout_s=0.2) as ledger:
        acts: list[Callable[[], object]] = [
            ledger.verify,
            lambda: list(ledger.entries()),
            lambda: ledger.stream(STREAM),
            lambda: ledger.streams(""),
            lambda: ledger.recent(5),
            lambda: ledger.about(sha="c"),
            ledger.head,
            lambda: ledger.append(STREAM, held("more"), after=SIZE - 1),
        ]
        for act in acts:
            try:
                act()
            except ImmutagError as error:
                assert isinstance(error, LedgerCorrupt | ConfigInvalid | LedgerConflict), error


@pytest.mark.parametrize("seed", range(60))
def test_flipped_bytes_anywhere_never_give_a_traceback(path: Path, seed: int) -> None:
    """A page that SQLite cannot read, an index that lies, a header that says nonsense: words, always."""
    chance = random.Random(seed)
    raw = bytearray(path.read_bytes())
    for _ in range(chance.choice([1, 1, 5, 200])):
        raw[chance.randrange(len(raw))] ^= 1 << chance.randrange(8)
    path.write_bytes(raw)
    read_all(path)


def test_every_flipped_byte_of_every_text_and_hash_is_noticed(path: Path) -> None:
    """Byte by byte in the file itself, where the claim's text and hash lie."""
    original = path.read_bytes()
    connection = sqlite3.connect(path)
    text, hash = connection.execute("SELECT text, hash FROM entries WHERE sequence = 7").fetchone()
    connection.close()
    path.write_bytes(original)
    start = original.index(text.encode() + hash.encode())
    for position in range(start, start + len(text) + len(hash), 5):
        raw = bytearray(original)
        raw[position] ^= 0x01
        path.write_bytes(raw)
        assert named(path) == 7, position
    path.write_bytes(original)
    assert verify(path).size == SIZE


@pytest.mark.parametrize("share", [0.02, 0.3, 0.5, 0.8, 0.99])
def test_a_truncated_file_is_corrupt(path: Path, share: float) -> None:
    os.truncate(path, int(path.stat().st_size * share))
    with pytest.raises(LedgerCorrupt):
        verify(path)
    read_all(path)


def test_an_emptied_file_shows_against_a_saved_head(path: Path) -> None:
    saved = verify(path)
    os.truncate(path, 0)
    assert named(path, saved) == 1


def test_what_is_no_ledger_is_said_to_be_none(tmp_path: Path) -> None:
    text, other = tmp_path / "text", tmp_path / "other.db"
    text.write_text("no database, but some text that is long enough to be read as a header " * 20)
    connection = sqlite3.connect(other)
    connection.execute("CREATE TABLE notes (x)")
    connection.close()
    for path in (text, other):
        before = path.read_bytes()
        with SqliteLedger(path, actor="tester@here") as ledger:
            for act in (ledger.verify, ledger.head, lambda: ledger.append(STREAM, held("x"), after=0)):
                with pytest.raises(LedgerCorrupt) as stopped:
                    act()
                assert "database" in stopped.value.found
        assert path.read_bytes() == before


def test_a_ledger_of_another_layout_is_not_touched(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 2")
    connection.close()
    with pytest.raises(ConfigInvalid, match="another version"):
        verify(path)


def test_the_text_in_the_file_is_canonical(path: Path) -> None:
    """Other tools may read the file: what they find is the preimage itself."""
    import json

    connection = sqlite3.connect(path)
    for text, hash in connection.execute("SELECT text, hash FROM entries"):
        assert canonical(json.loads(text)) == text
        assert leaf_hash(text) == hash
    connection.close()
