"""What SQLite says of a ledger's file, put into our words."""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from immutag.core.errors import ConfigInvalid, ImmutagError, LedgerConflict, LedgerCorrupt
from immutag.core.values import shown

_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL}
_REFUSED = {
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_AUTH,
    sqlite3.SQLITE_IOERR,
}
_RETRY_S = 0.005
Done = TypeVar("Done")


@contextmanager
def in_words(path: Path) -> Iterator[None]:
    """A damaged file is LedgerCorrupt; one that others hold for too long, LedgerConflict; a full disk,
    and a file that may not be read or written, ConfigInvalid."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise worded(error, path) from error
    except UnicodeDecodeError as error:  # an error message with a name out of a damaged page
        raise damaged(path, "text that is not UTF-8") from error
    except OSError as error:
        raise _refused(path, error.strerror or "the system refused") from error


def worded(error: sqlite3.DatabaseError, path: Path) -> ImmutagError:
    """The error of ours that says what happened to this file."""
    code = _code(error)
    if code in _BUSY:
        return LedgerConflict(
            "others hold the ledger",
            expected=f"{path} to be free within the time allowed",
            found="it was held all the time",
            remedy="try again; if a process hangs, `fuser` on the file names it",
        )
    if code in _REFUSED:
        return _refused(path, str(error))
    return damaged(path, str(error))


def damaged(path: Path, found: str) -> LedgerCorrupt:
    """The file is no ledger, or is not as it was written."""
    return LedgerCorrupt(
        "the ledger's file is damaged",
        expected=f"an immutag ledger in {path}",
        found=shown(found),
        remedy="keep the file as evidence, and restore a copy that `immutag ledger verify` accepts",
    )


def patiently(act: Callable[[], Done], *, timeout_s: float) -> Done:
    """Do it again while others hold the file. SQLite itself waits for most locks, but not for all: not
    while a file becomes a WAL file, and not while its last user puts the WAL away."""
    until = time.monotonic() + timeout_s
    while True:
        try:
            return act()
        except sqlite3.OperationalError as error:
            if _code(error) not in _BUSY or time.monotonic() >= until:
                raise
        time.sleep(_RETRY_S)


def _refused(path: Path, found: str) -> ConfigInvalid:
    return ConfigInvalid(
        "the ledger's file cannot be used",
        expected=f"room on the disk, and permission to read and write {path} and its folder",
        found=shown(found),
        remedy="`df` and `ls -l` say which; [ledger] url in immutag.toml names another place",
    )


def _code(error: sqlite3.Error) -> int:
    """SQLite's primary result code, without what it extends it by."""
    return error.sqlite_errorcode & 0xFF
