"""The ledger on a branch of a git repository: for CI, which has nothing else that all jobs share (DR-019).

The branch is the ledger. What is read comes from a local SQLite file, filled from the branch before each
read; an append is a commit on top of the branch as it was seen, pushed only if it is still that. Killed
anywhere: the push happened or it did not, and the next use looks.
"""

import fcntl
import random
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

from immutag.core.errors import ConfigInvalid, LedgerConflict, LedgerCorrupt
from immutag.core.facts import Entry, Fact, Stream
from immutag.core.values import Digest, EnvironmentName
from immutag.git.remote_branch import RemoteBranch
from immutag.ledger import Checkpoint, git_files
from immutag.ledger.chain import START, corrupt, follow, next_time, require_version, seal
from immutag.ledger.git_files import FILE_ENTRIES, path_of
from immutag.ledger.sqlite import SqliteLedger
from immutag.ledger.turns import Turns

_PATIENCE_S = 240.0


class GitLedger:
    """Implements `Ledger`. `folder` is a cache of this machine; the branch is made by the first append."""

    shared = True

    def __init__(
        self,
        folder: Path,
        branch: RemoteBranch,
        *,
        actor: str,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        patience_s: float = _PATIENCE_S,
    ) -> None:
        self._folder = folder
        self._branch = branch
        self._actor = actor
        self._clock = clock
        self._patience_s = patience_s
        self._cache = SqliteLedger(folder / "entries.db", actor=actor)
        self._lock = threading.RLock()
        self._turns = Turns()
        self._pushed: tuple[str, str, bytes] | None = None  # our last commit, and what it made of which file

    def close(self) -> None:
        self._cache.close()

    def append(self, stream: Stream, fact: Fact, *, after: int) -> Entry:
        """Append as version `after + 1` of the stream; on the remote's branch when it returns.

        Raises LedgerConflict if the stream has moved on, LedgerCorrupt, ConfigInvalid for a remote that
        cannot be reached or refuses.
        """
        until, lost = time.monotonic() + self._patience_s, False
        while True:
            pause_s = self._turns.pause_s
            time.sleep(random.uniform(pause_s / 2, pause_s))  # noqa: S311 - so that two get out of step
            begun = time.monotonic()
            with self._alone():
                kept = self._branch.kept()
                if lost and kept:
                    self._take()
                elif kept is None or self._version(stream) < after:
                    self._refresh()
                require_version(stream, after, self._version(stream))
                entry = self._try(stream, fact, after)
            if entry:
                self._turns.won()
                return entry
            lost, now = True, time.monotonic()
            self._turns.lost(now - begun)
            if now > until:
                raise _busy(self._branch.name, self._patience_s)

    def stream(self, stream: Stream, *, last: int | None = None) -> Sequence[Entry]:
        return self._fresh().stream(stream, last=last)

    def streams(self, prefix: str, *, limit: int | None = None) -> Sequence[Stream]:
        return self._fresh().streams(prefix, limit=limit)

    def recent(
        self,
        limit: int | None = None,
        *,
        kind: type[Fact] | None = None,
        environment: EnvironmentName | None = None,
    ) -> Sequence[Entry]:
        return self._fresh().recent(limit, kind=kind, environment=environment)

    def about(
        self, *, sha: str | None = None, digest: Digest | None = None, limit: int | None = None
    ) -> Sequence[Entry]:
        return self._fresh().about(sha=sha, digest=digest, limit=limit)

    def entries(self, *, after: int = 0) -> Iterator[Entry]:
        yield from self._fresh().entries(after=after)

    def leaves(self, size: int) -> Iterator[bytes]:
        yield from self._fresh().leaves(size)

    def head(self) -> Checkpoint:
        return self._fresh().head()

    def verify(self, against: Checkpoint | None = None) -> Checkpoint:
        """Walk the branch's files, and then the local copy of them. Raises LedgerCorrupt."""
        cache = self._fresh()
        if commit := self._branch.kept():
            with self._alone():
                head = START
                for entry in self._read(commit, START):
                    head = Checkpoint(entry.sequence, entry.hash)
                if head != cache.checkpoint(head.size):
                    raise corrupt(head.size, expected="what was seen of the branch", found=head.hash)
                self._require_files(commit, head.size)
        return cache.verify(against)

    def _fresh(self) -> SqliteLedger:
        """The local copy, as the branch is now. While there is no branch, reading makes nothing."""
        if not self._folder.exists() and self._branch.tip() is None:
            return self._cache
        with self._alone():
            self._refresh()
        return self._cache

    def _version(self, stream: Stream) -> int:
        newest = self._cache.stream(stream, last=1)
        return newest[-1].version if newest else 0

    def _refresh(self) -> None:
        """Take over what the branch has and the local copy has not. Raises LedgerCorrupt if the branch does
        not go on from what was seen of it."""
        kept, tip = self._branch.kept(), self._branch.tip()
        head = self._cache.head()
        if tip is None:
            if kept or head.size:
                raise _rewritten(self._branch.name, "the branch is gone")
            return
        if tip != kept or not head.size:
            self._take()

    def _take(self) -> None:
        """The same, when the branch is known to have moved."""
        kept, head, commit = self._branch.kept(), self._cache.head(), self._branch.fetch()
        if commit is None:
            raise _rewritten(self._branch.name, f"a commit that does not go on from {kept}")
        if kept:
            self._require_untouched(kept, commit, head)
        self._cache.extend(self._read(commit, head))
        self._branch.keep(commit)

    def _require_untouched(self, kept: str, commit: str, head: Checkpoint) -> None:
        """Only files with entries that are new here may have changed since the commit that was seen last.

        One that was killed between the two has in its copy what that commit has not: that file is compared.
        """
        least = path_of(head.size + 1)
        for path in self._branch.changed(kept, commit, git_files.FOLDER):
            if path < least and not self._has(path, commit):
                raise _rewritten(self._branch.name, f"another {path} in {commit}")

    def _has(self, path: str, commit: str) -> bool:
        """Whether the local copy holds a full file of this commit, entry for entry."""
        first = git_files.first_of(path)
        if first is None:
            return False
        lines = git_files.rows(self._branch.read(commit, [path]), first=first)
        found = [entry.hash for entry in follow(lines, after=self._cache.checkpoint(first - 1))]
        here = (self._cache.checkpoint(first + n).hash for n in range(FILE_ENTRIES))
        return found == list(here)

    def _read(self, commit: str, after: Checkpoint) -> Iterator[Entry]:
        """The entries of the branch that go on from `after`; chained from the beginning of its file on."""
        file = after.size // FILE_ENTRIES
        begin = self._cache.checkpoint(file * FILE_ENTRIES)  # now: whoever takes them has the copy for itself
        paths = (path_of(number * FILE_ENTRIES + 1) for number in count(file))
        lines = git_files.rows(self._branch.read(commit, paths), first=begin.size + 1)
        return _beyond(after, follow(lines, after=begin), begin.size)

    def _require_files(self, commit: str, size: int) -> None:
        """No file less, and none more."""
        expected = [path_of(first) for first in range(1, size + 1, FILE_ENTRIES)]
        found = self._branch.paths(commit, git_files.FOLDER)
        if found != expected:
            other = min({*found} ^ {*expected})
            raise corrupt(None, expected=f"{len(expected)} files of entries", found=f"also or not: {other}")

    def _try(self, stream: Stream, fact: Fact, after: int) -> Entry | None:
        """One attempt on top of what was seen last; None if somebody was faster."""
        newest = self._cache.recent(1)
        last, kept = (newest[0] if newest else None), self._branch.kept()
        entry, _ = seal(
            sequence=last.sequence + 1 if last else 1,
            stream=stream,
            version=after + 1,
            time=next_time(self._clock(), last),
            actor=self._actor,
            previous=last.hash if last else START.hash,
            fact=fact,
        )
        path, content = path_of(entry.sequence), self._content(entry, kept)
        readme = {} if kept else {"README.md": git_files.README.encode()}
        commit = self._branch.commit(
            {**readme, path: content},
            git_files.message(entry, secrets.token_hex(8)),
            parent=kept,
            seconds=int(datetime.fromisoformat(entry.time).timestamp()),
        )
        try:
            pushed = self._branch.push(commit, over=kept)
        except ConfigInvalid:  # it may have been taken all the same
            self._refresh()
            if self._holds(entry):
                return entry
            raise
        if not pushed:
            return None
        self._cache.extend([entry])
        self._branch.keep(commit)
        self._pushed = commit, path, content
        return entry

    def _holds(self, entry: Entry) -> bool:
        size = self._cache.head().size
        return size >= entry.sequence and self._cache.checkpoint(entry.sequence).hash == entry.hash

    def _content(self, entry: Entry, kept: str | None) -> bytes:
        """The entry's file with the entry; of one of ours that is the newest, from memory."""
        path = path_of(entry.sequence)
        if kept is None or (entry.sequence - 1) % FILE_ENTRIES == 0:
            return git_files.appended(b"", entry)
        if self._pushed and self._pushed[:2] == (kept, path):
            return git_files.appended(self._pushed[2], entry)
        return git_files.appended(b"".join(self._branch.read(kept, [path])), entry)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One thread of one process at a time uses the local copy; one that is killed holds nothing."""
        with self._lock:
            self._folder.mkdir(parents=True, exist_ok=True)
            with (self._folder / "lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield


def _beyond(after: Checkpoint, entries: Iterator[Entry], size: int) -> Iterator[Entry]:
    """Those after the last one that was seen; that one must be among them, as it was."""
    for entry in entries:
        size = entry.sequence
        if size > after.size:
            yield entry
        elif size == after.size and entry.hash != after.hash:
            raise corrupt(size, expected=f"the hash {after.hash}", found=f"the hash {entry.hash}")
    if size < after.size:
        raise corrupt(size + 1, expected=f"{after.size} entries, as seen before", found="gone")


def _rewritten(branch: str, found: str) -> LedgerCorrupt:
    return LedgerCorrupt(
        f"the ledger is not what it was: the history of {branch} was rewritten",
        expected="a branch that goes on from what was seen of it on this machine",
        found=found,
        remedy="keep this machine's copy as evidence (.immutag), and push the commit back that it has seen; "
        "then protect the branch against force-pushes",
    )


def _busy(branch: str, seconds: float) -> LedgerConflict:
    return LedgerConflict(
        "others were always faster",
        expected=f"to append to {branch}",
        found=f"its branch had moved, or was locked, at each attempt for {seconds:g} s",
        remedy="run the command again",
    )
