"""The ledger in one SQLite file: the default (DR-017).

An append is one immediate transaction, on the disk before it returns. What is read is hashed again, and
the columns that it was found by are compared with the text: what was altered shows where it is read.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import tee
from pathlib import Path
from sqlite3 import IntegrityError
from types import TracebackType
from typing import Self

from immutag.core.errors import LedgerCorrupt
from immutag.core.facts import Entry, Fact, Stream, encode
from immutag.core.values import Digest, EnvironmentName, shown
from immutag.ledger import Checkpoint, chain
from immutag.ledger.chain import START, corrupt, follow, next_time, require_version, seal, unseal
from immutag.ledger.sqlite_file import Row, SqliteFile

_PAGE = 500
_LEAVES_PAGE = 10_000
_LAST_CHARACTER = "\U0010ffff"
_LEAST = -(2**63)


class SqliteLedger:
    """Implements `Ledger`. The file and its folder are made by the first append; until then it is empty."""

    def __init__(
        self,
        path: Path,
        *,
        actor: str,
        shared: bool = False,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        timeout_s: float = 60,
    ) -> None:
        self.shared = shared
        self._actor = actor
        self._clock = clock
        self._file = SqliteFile(path, timeout_s=timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file. The next use opens it again."""
        self._file.close()

    def append(self, stream: Stream, fact: Fact, *, after: int) -> Entry:
        """Append as version `after + 1` of the stream; on the disk when it returns.

        Raises LedgerConflict if the stream has moved on, LedgerCorrupt if the tail is damaged or the
        stream is shorter than the caller has seen it.
        """
        with self._file.transaction() as connection:
            tail = connection.execute("SELECT * FROM entries ORDER BY sequence DESC LIMIT 1").fetchone()
            last = _entry(tail) if tail else None
            (version,) = connection.execute(
                "SELECT ifnull(max(version), 0) FROM entries WHERE stream = ?", (stream.name,)
            ).fetchone()
            require_version(stream, after, version)
            entry, text = seal(
                sequence=last.sequence + 1 if last else 1,
                stream=stream,
                version=after + 1,
                time=next_time(self._clock(), last),
                actor=self._actor,
                previous=last.hash if last else START.hash,
                fact=fact,
            )
            connection.execute(
                "INSERT INTO entries VALUES (?,?,?,?,?,?,?,?,?,?,?)",
                (entry.sequence, text, entry.hash, *_found_by(entry)),
            )
        return entry

    def extend(self, entries: Iterable[Entry]) -> None:
        """Take entries over that were appended elsewhere, and go on from the last one here: all or none.

        Whoever gives them has followed their chain. Raises LedgerCorrupt for a version that is there already.
        """
        with self._file.transaction() as connection:
            for entry in entries:
                row = (entry.sequence, chain.text_of(entry), entry.hash, *_found_by(entry))
                try:
                    connection.execute("INSERT INTO entries VALUES (?,?,?,?,?,?,?,?,?,?,?)", row)
                except IntegrityError as error:
                    raise corrupt(
                        entry.sequence,
                        expected=f"a number and a version of {entry.stream} that were not there",
                        found=f"version {entry.version} again",
                    ) from error

    def stream(self, stream: Stream, *, last: int | None = None) -> Sequence[Entry]:
        """The stream's entries, oldest first; only its newest `last` ones if given."""
        rows = self._file.read(
            "SELECT * FROM entries WHERE stream = ? ORDER BY version DESC LIMIT ?",
            (stream.name, _limit(last)),
        )
        entries = [_entry(row) for row in reversed(rows)]
        first = entries[0].version if entries and len(entries) == last else 1
        for version, entry in enumerate(entries, first):
            if entry.version != version:
                raise corrupt(
                    entry.sequence,
                    expected=f"version {version} of {stream}",
                    found=f"version {entry.version}, and none before it",
                )
        return entries

    def streams(self, prefix: str, *, limit: int | None = None) -> Sequence[Stream]:
        """The streams whose names begin so, the one with the newest entry first."""
        rows = self._file.read(
            """WITH RECURSIVE names (name) AS (
                 SELECT min(stream) FROM entries WHERE stream >= :prefix AND stream < :end
                 UNION ALL
                 SELECT (SELECT min(stream) FROM entries WHERE stream > name AND stream < :end)
                 FROM names WHERE name IS NOT NULL)
               SELECT name FROM names WHERE name IS NOT NULL ORDER BY
                 (SELECT sequence FROM entries WHERE stream = name ORDER BY version DESC LIMIT 1) DESC
               LIMIT :limit""",
            {"prefix": prefix, "end": prefix + _LAST_CHARACTER, "limit": _limit(limit)},
        )
        return [Stream(name) for (name,) in rows]

    def recent(
        self,
        limit: int | None = None,
        *,
        kind: type[Fact] | None = None,
        environment: EnvironmentName | None = None,
    ) -> Sequence[Entry]:
        """The newest entries, newest first: all, of one kind of fact, of an environment."""
        wanted: dict[str, str] = {}
        if kind is not None:
            wanted["type = ?"] = kind.type
        if environment is not None:
            wanted["environment = ?"] = environment.value
        return self._newest(wanted, limit)

    def about(
        self, *, sha: str | None = None, digest: Digest | None = None, limit: int | None = None
    ) -> Sequence[Entry]:
        """The entries about a commit (a full SHA, or how one begins) or a digest, newest first."""
        wanted: dict[str, str] = {}
        if sha is not None:
            wanted |= {"sha >= ?": sha, "sha < ?": sha + _LAST_CHARACTER}
        if digest is not None:
            wanted |= {"digest = ?": digest.value}
        return self._newest(wanted, limit)

    def entries(self, *, after: int = 0) -> Iterator[Entry]:
        """Everything after a sequence number, checked as a chain on the way. Raises LedgerCorrupt."""
        rows, again = tee(self._rows(after))
        linked = follow(map(_sealed, rows), after=self.checkpoint(after))
        for row, entry in zip(again, linked, strict=True):
            yield _as_found(row, entry)

    def leaves(self, size: int) -> Iterator[bytes]:
        """The leaf hashes of the first `size` entries as they are stored: no entry is read or checked.

        Raises LedgerCorrupt if there are fewer.
        """
        least = 1
        while least <= size:
            page = self._file.page(
                "SELECT sequence, hash FROM entries WHERE sequence BETWEEN ? AND ? ORDER BY sequence LIMIT ?",
                (least, size, _LEAVES_PAGE),
            )
            for expected, (sequence, hash) in enumerate(page, least):
                if sequence != expected:
                    raise corrupt(
                        expected, expected=f"entry {expected}", found=f"gone: then comes {sequence}"
                    )
                yield chain.hash_bytes(hash, at=sequence)
            if not page:
                raise corrupt(least, expected=f"at least {size} entries", found="gone: the ledger is shorter")
            least += len(page)

    def head(self) -> Checkpoint:
        """Where the ledger ends now."""
        newest = self.recent(1)
        return Checkpoint(newest[0].sequence, newest[0].hash) if newest else START

    def verify(self, against: Checkpoint | None = None) -> Checkpoint:
        """Walk the whole chain and check the file. `against` is a head that was known to be right.

        Raises LedgerCorrupt for the first bad entry, and for a ledger that does not go on from `against`.
        """
        head = START
        for entry in self.entries():
            head = Checkpoint(entry.sequence, entry.hash)
            if against and head.size == against.size and head != against:
                raise corrupt(head.size, expected=f"the hash {against.hash}", found=f"the hash {head.hash}")
        if against and head.size < against.size:
            raise corrupt(
                head.size + 1,
                expected=f"{against.size} entries, as when the head was saved",
                found=f"gone: the ledger ends with entry {head.size}",
            )
        self._file.require_sound()
        return head

    def checkpoint(self, size: int) -> Checkpoint:
        """The head as it was at this size. Raises LedgerCorrupt if the ledger is shorter."""
        if size == 0:
            return START
        rows = self._file.read("SELECT * FROM entries WHERE sequence = ?", (size,))
        if not rows:
            raise corrupt(size, expected=f"at least {size} entries", found="gone: the ledger is shorter")
        return Checkpoint(size, _entry(rows[0]).hash)

    def _newest(self, wanted: dict[str, str], limit: int | None) -> Sequence[Entry]:
        where = " AND ".join(wanted) or "true"
        rows = self._file.read(
            f"SELECT * FROM entries WHERE {where} ORDER BY sequence DESC LIMIT ?",  # noqa: S608 - our own words
            (*wanted.values(), _limit(limit)),
        )
        return [_entry(row) for row in rows]

    def _rows(self, after: int) -> Iterator[Row]:
        """All rows after a sequence number, in pages: a long reader never holds up the writers' WAL.

        From the start, that includes rows with numbers that no entry has.
        """
        least = after + 1 if after else _LEAST
        while True:
            try:
                page = self._file.page(
                    "SELECT * FROM entries WHERE sequence >= ? ORDER BY sequence LIMIT ?", (least, _PAGE)
                )
            except LedgerCorrupt as error:
                raise corrupt(after + 1, expected=error.expected, found=error.found) from error
            if not page:
                return
            yield from page
            after = page[-1][0]
            least = after + 1


def _found_by(entry: Entry) -> Row:
    """The columns beside the text, which entries are found by."""
    fact = encode(entry.fact)
    named = (fact.get(name) for name in ("environment", "repository", "sha", "digest"))
    return (entry.stream.name, entry.version, entry.fact.type, entry.time, *named)


def _entry(row: Row) -> Entry:
    sequence, text, hash = _sealed(row)
    return _as_found(row, unseal(text, hash, at=sequence))


def _sealed(row: Row) -> chain.Row:
    """The part of a row that the chain is about. SQLite keeps any type of value in any column."""
    match row:
        case (int(sequence), str(text), str(hash), *_):
            return sequence, text, hash
    raise corrupt(row[0], expected="a text and its hash", found="a row with values of other types")


def _as_found(row: Row, entry: Entry) -> Entry:
    """The entry, if the row's columns say what its text says. Raises LedgerCorrupt."""
    sequence, _, _, *columns = row
    for found, expected in zip((sequence, *columns), (entry.sequence, *_found_by(entry)), strict=True):
        if found != expected:
            raise corrupt(
                sequence, expected=f"a column with {expected}", found=f"a column with {shown(str(found))}"
            )
    return entry


def _limit(limit: int | None) -> int:
    return -1 if limit is None else limit
