"""The SQLite file itself: made by whoever comes first, opened, read in pages, written in transactions."""

import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any

from immutag.core.errors import ConfigInvalid
from immutag.ledger.sqlite_errors import damaged, in_words, patiently

APPLICATION = 0x696D7467
LAYOUT = 1
TABLES = (
    """CREATE TABLE entries (
  sequence INTEGER PRIMARY KEY,
  text TEXT NOT NULL,
  hash TEXT NOT NULL,
  stream TEXT NOT NULL,
  version INTEGER NOT NULL,
  type TEXT NOT NULL,
  time TEXT NOT NULL,
  environment TEXT,
  repository TEXT,
  sha TEXT,
  digest TEXT
)""",
    "CREATE UNIQUE INDEX entries_by_stream ON entries (stream, version)",
    "CREATE INDEX entries_by_type ON entries (type)",
    "CREATE INDEX entries_by_environment ON entries (environment)",
    "CREATE INDEX entries_by_sha ON entries (sha)",
    "CREATE INDEX entries_by_digest ON entries (digest)",
    """CREATE TRIGGER entries_stay BEFORE DELETE ON entries
BEGIN SELECT RAISE(ABORT, 'an entry is never removed'); END""",
    """CREATE TRIGGER entries_do_not_change BEFORE UPDATE ON entries
BEGIN SELECT RAISE(ABORT, 'an entry never changes'); END""",
)
_ABOUT = """SELECT (SELECT application_id FROM pragma_application_id),
  (SELECT user_version FROM pragma_user_version), (SELECT count(*) FROM sqlite_master)"""
"""One statement, and so at one moment: somebody may be making the ledger just now."""
Row = tuple[Any, ...]
Version = tuple[int, int, bool]
Values = Sequence[Any] | Mapping[str, Any]


class SqliteFile:
    """One connection, opened when first used, for one thread at a time. A file that is not there has no
    rows; the first transaction makes it. Raises what `in_words` says."""

    def __init__(self, path: Path, *, timeout_s: float) -> None:
        self.path = path
        self._timeout_s = timeout_s
        self._connection: sqlite3.Connection | None = None
        self._lockless: Version | None = None  # of the file, where it is read without locks
        self._lock = Lock()

    def close(self) -> None:
        with self._lock:
            if self._connection:
                self._connection.close()
                self._connection = None

    def read(self, sql: str, values: Values = ()) -> list[Row]:
        """All rows of a query."""
        return self._seen(lambda connection: connection.execute(sql, values).fetchall())

    def page(self, sql: str, values: Values = ()) -> list[Row]:
        """The rows of a query as far as they can be read; an error only if that is none."""

        def rows(connection: sqlite3.Connection) -> list[Row]:
            found: list[Row] = []
            cursor = connection.execute(sql, values)
            try:
                while row := cursor.fetchone():
                    found.append(row)
            except (sqlite3.DatabaseError, UnicodeDecodeError):
                if not found:
                    raise
            return found

        return self._seen(rows)

    def _seen(self, look: Callable[[sqlite3.Connection], list[Row]]) -> list[Row]:
        """What is seen; once more if the file changed meanwhile, and no lock of ours kept writers away."""
        with self._lock, in_words(self.path):
            while True:
                before = None if _may_write(self.path) else _version(self.path)
                try:
                    connection = self._open()
                    found = (
                        patiently(partial(look, connection), timeout_s=self._timeout_s) if connection else []
                    )
                except (sqlite3.DatabaseError, UnicodeDecodeError):
                    if before is None or before == _version(self.path):
                        raise
                else:
                    if self._lockless is None or before == _version(self.path):
                        return found

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Alone with the file; on the disk when it ends, or undone."""
        with self._lock, in_words(self.path):
            connection = self._open() or self._create()
            patiently(lambda: connection.execute("BEGIN IMMEDIATE"), timeout_s=self._timeout_s)
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def require_sound(self) -> None:
        """SQLite's own check, indexes included, and that tables and triggers are those we made.

        Raises LedgerCorrupt.
        """
        for (problem,) in self.read("PRAGMA integrity_check(1)"):
            if problem != "ok":
                raise damaged(self.path, problem)
        found = {sql for (sql,) in self.read("SELECT sql FROM sqlite_master")}
        if found and found != set(TABLES):
            other = min(found ^ set(TABLES))
            raise damaged(self.path, f"tables or triggers are not as made: {' '.join(other.split())}")

    def _open(self) -> sqlite3.Connection | None:
        """The connection, or `None` while there is no ledger in the file."""
        if self._connection and self._lockless and self._lockless != _version(self.path):
            self._connection.close()
            self._connection = None
        if self._connection is None and self.path.exists():
            self._lockless = _version(self.path) if _is_left_over(self.path) else None
            connection = _connect(self.path, self._timeout_s, locks=self._lockless is None)
            try:
                if patiently(lambda: _is_ledger(connection, self.path), timeout_s=self._timeout_s):
                    connection.execute("PRAGMA synchronous = FULL")
                    self._connection = connection
            finally:
                if self._connection is None:
                    connection.close()
        return self._connection

    def _create(self) -> sqlite3.Connection:
        """Make the folder, the file and the tables, or find that somebody else just did."""
        _make_folder(self.path.parent)
        connection = _connect(self.path, self._timeout_s)
        try:
            patiently(lambda: _make_tables(connection, self.path), timeout_s=self._timeout_s)
            self._connection = connection
        finally:
            if self._connection is None:
                connection.close()
        return connection


def _connect(path: Path, timeout_s: float, *, locks: bool = True) -> sqlite3.Connection:
    """Without Python's own transactions. Bytes that are not UTF-8 are kept, so that the hash shows them."""
    name, uri = os.path.realpath(path), False
    if not locks:
        from urllib.parse import quote

        name, uri = f"file:{quote(name)}?immutable=1", True
    connection = sqlite3.connect(
        name, uri=uri, timeout=timeout_s, isolation_level=None, check_same_thread=False
    )
    connection.text_factory = lambda raw: raw.decode(errors="surrogateescape")
    return connection


def _is_left_over(path: Path) -> bool:
    """A ledger that we may only read, and that nobody writes to now: SQLite would want to make a WAL
    beside it even to read."""
    return not _may_write(path) and not _wal(path).exists()


def _may_write(path: Path) -> bool:
    """Also of a file that is not there yet: whoever makes it will see."""
    real = Path(os.path.realpath(path))
    return not real.exists() or all(
        os.access(each, os.W_OK, effective_ids=True) for each in (real, real.parent)
    )


def _version(path: Path) -> Version:
    """What tells that somebody writes, or wrote, to a ledger that we may only read."""
    about = path.stat()
    return about.st_mtime_ns, about.st_size, _wal(path).exists()


def _wal(path: Path) -> Path:
    return Path(os.path.realpath(path) + "-wal")


def _is_ledger(connection: sqlite3.Connection, path: Path) -> bool:
    """Whether the tables are there. An empty file is a ledger that somebody is about to make."""
    application, layout, tables = connection.execute(_ABOUT).fetchone()
    if application == APPLICATION and layout == LAYOUT:
        return True
    if application == APPLICATION:
        raise ConfigInvalid(
            "another version of immutag made this ledger",
            expected=f"layout {LAYOUT} in {path}",
            found=f"layout {layout}",
            remedy="use the newest immutag",
        )
    if application or layout or tables:
        raise damaged(path, "a database that is no ledger")
    return False


def _make_tables(connection: sqlite3.Connection, path: Path) -> None:
    """All tables at once, unless they are there. Killed anywhere in here, the next one makes them."""
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("BEGIN IMMEDIATE")
    try:
        if not _is_ledger(connection, path):
            for statement in TABLES:
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION}")
            connection.execute(f"PRAGMA user_version = {LAYOUT}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _make_folder(folder: Path) -> None:
    """The name of a new folder must survive a power loss as the claim in it does, so its parent is synced."""
    if folder.is_dir():
        return
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
