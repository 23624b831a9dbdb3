"""A git ledger that has grown: `python -m benchmarks.git_ledger_size [ENTRIES]` (10000).

One commit an entry, as appending makes them. It prints how long a job takes that has never seen it, and one
that has.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from immutag.core.facts import Entry, Stream
from immutag.ledger.chain import START, next_time, seal
from immutag.ledger.git import GitLedger
from immutag.ledger.git_files import FILE_ENTRIES, README, appended, message, path_of
from tests.parts.appending import held
from tests.parts.git_appending import open_ledger
from tests.parts.git_http import git_server

_STREAMS = 100


def entries(count: int) -> Iterator[Entry]:
    """A chain of so many, in a hundred streams."""
    last: Entry | None = None
    for number in range(count):
        name = f"job:{number % _STREAMS}"
        last, _ = seal(
            sequence=number + 1,
            stream=Stream(name),
            version=number // _STREAMS + 1,
            time=next_time(datetime.now(UTC), last),
            actor="benchmark",
            previous=last.hash if last else START.hash,
            fact=held(f"{name} {number // _STREAMS}"),
        )
        yield last


def commits(count: int) -> Iterator[bytes]:
    """The branch, for `git fast-import`."""
    content = b""
    for entry in entries(count):
        content = appended(b"" if (entry.sequence - 1) % FILE_ENTRIES == 0 else content, entry)
        text = message(entry, "0" * 16).encode()
        who = b"immutag <immutag@localhost> 1700000000 +0000"
        yield b"commit refs/heads/immutag-ledger\ncommitter %b\ndata %d\n%b\n" % (who, len(text), text)
        files = {path_of(entry.sequence): content}
        if entry.sequence == 1:
            files["README.md"] = README.encode()
        for path, held_ in files.items():
            yield b"M 100644 inline %b\ndata %d\n%b\n" % (path.encode(), len(held_), held_)


def timed(what: str, work: Callable[[], object]) -> None:
    begun = time.perf_counter()
    work()
    print(f"{what:44} {time.perf_counter() - begun:6.2f} s")


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    with tempfile.TemporaryDirectory() as folder, git_server(Path(folder) / "server") as server:
        Path(folder, "server").mkdir()
        url = server.create()
        with subprocess.Popen(
            ["git", "-C", str(server.root / "ledger.git"), "fast-import", "--quiet"], stdin=subprocess.PIPE
        ) as importing:
            assert importing.stdin
            importing.stdin.writelines(commits(count))
        server.git("repack", "-adq")
        ledger, stream = open_ledger(Path(folder) / "job", url), Stream("job:0")
        after = (count - 1) // _STREAMS + 1
        print(f"{count} entries over HTTP on loopback")
        timed("a new job reads a stream", lambda: ledger.stream(stream))
        timed("it appends", lambda: ledger.append(stream, held("next"), after=after))
        timed("it verifies all of it", ledger.verify)
        new = open_ledger(Path(folder) / "other", url)
        timed("another new job appends at once", lambda: new.append(Stream("new"), held("new"), after=0))
        timed("the first takes that over and reads", lambda: ledger.recent(10))
        print(f"an append in the middle of ten {statistics.median(appends(ledger)):19.2f} s")


def appends(ledger: GitLedger) -> list[float]:
    found = []
    for number in range(10):
        begun = time.perf_counter()
        ledger.append(Stream("row"), held(f"row {number}"), after=number)
        found.append(time.perf_counter() - begun)
    return found


if __name__ == "__main__":
    main()
