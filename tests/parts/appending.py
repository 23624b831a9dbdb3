"""A process that appends to a ledger, and can kill itself around or within an append.

    python -m tests.parts.appending LEDGER STREAM COUNT [WHEN AT]

It appends COUNT facts to the stream and prints each fact's number once it is appended. `WHEN` is where the
`AT`-th append kills the process: before, after, or with the row inserted but not committed (within).
"""

import os
import signal
import sqlite3
import sys
from pathlib import Path

from immutag.core.facts import Held, Stream
from immutag.core.values import EnvironmentName, Repository
from immutag.ledger.sqlite import SqliteLedger


def held(reason: str) -> Held:
    return Held(Repository.parse("ghcr.io/o/api"), EnvironmentName("production"), reason, None)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_at_commit(ledger: SqliteLedger) -> None:
    """Whatever is committed next on the ledger's connection is not."""
    connection = ledger._file._connection  # the point of this module is to be inside
    assert isinstance(connection, sqlite3.Connection)
    connection.set_trace_callback(lambda sql: die() if sql == "COMMIT" else None)


def main(path: str, name: str, count: str, when: str = "", at: str = "0") -> None:
    stream = Stream(name)
    with SqliteLedger(Path(path), actor=f"pid {os.getpid()}") as ledger:
        version = len(ledger.stream(stream, last=1)) and ledger.stream(stream, last=1)[-1].version
        for number in range(int(count)):
            dying = number == int(at)
            if dying and when == "before":
                die()
            if dying and when == "within":
                die_at_commit(ledger)
            entry = ledger.append(stream, held(f"{name} {number}"), after=version + number)
            if dying and when == "after":
                die()
            print(entry.version, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
