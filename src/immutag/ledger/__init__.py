"""The ledger: facts in one total order, hash-chained (DR-017)."""

from collections.abc import Iterator, Sequence
from typing import Protocol

from immutag.core.facts import Entry, Fact, Stream
from immutag.core.frozen import frozen
from immutag.core.values import Digest, EnvironmentName


@frozen()
class Checkpoint:
    """How long the ledger is, and the hash of its last entry (64 zeros when empty)."""

    size: int
    hash: str


class Ledger(Protocol):
    """Facts in one total order, hash-chained, and numbered 1, 2, … within each stream."""

    shared: bool
    """Whether everybody who releases sees the same ledger; one that is not is no authority."""

    def append(self, stream: Stream, fact: Fact, *, after: int) -> Entry:
        """Append as version `after + 1` of the stream: claim, lease and hold are all this.

        It is there for good when this returns. Raises LedgerConflict if the stream has moved on,
        LedgerCorrupt if the tail is damaged or the stream is shorter than `after`.
        """
        ...

    def stream(self, stream: Stream, *, last: int | None = None) -> Sequence[Entry]:
        """The stream's entries, oldest first; only its newest `last` ones if given."""
        ...

    def streams(self, prefix: str, *, limit: int | None = None) -> Sequence[Stream]:
        """The streams whose names begin so, the one with the newest entry first."""
        ...

    def recent(
        self,
        limit: int | None = None,
        *,
        kind: type[Fact] | None = None,
        environment: EnvironmentName | None = None,
    ) -> Sequence[Entry]:
        """The newest entries, newest first: all, of one kind of fact, of an environment."""
        ...

    def about(
        self, *, sha: str | None = None, digest: Digest | None = None, limit: int | None = None
    ) -> Sequence[Entry]:
        """The entries about a commit (a full SHA, or how one begins) or a digest, newest first."""
        ...

    def entries(self, *, after: int = 0) -> Iterator[Entry]:
        """Everything after a sequence number, checked as a chain on the way. Raises LedgerCorrupt."""
        ...

    def leaves(self, size: int) -> Iterator[bytes]:
        """The leaf hashes of the first `size` entries as they are stored: no entry is read or checked.

        Raises LedgerCorrupt if there are fewer.
        """
        ...

    def head(self) -> Checkpoint:
        """Where the ledger ends now."""
        ...

    def verify(self, against: Checkpoint | None = None) -> Checkpoint:
        """Walk all of it; it must go on from `against`, a head that was known to be right.

        Raises LedgerCorrupt, naming the first bad entry.
        """
        ...

    def close(self) -> None:
        """Let go of files and connections; the next use opens them again."""
        ...
