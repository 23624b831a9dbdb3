"""The ledger: facts in one total order, hash-chained (DR-017)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from immutag.core.facts import Entry, Fact, Stream


@dataclass(frozen=True, slots=True)
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

        Raises LedgerConflict if the stream has moved on, LedgerCorrupt if the tail is damaged.
        """
        ...

    def stream(self, stream: Stream, *, last: int | None = None) -> Sequence[Entry]:
        """The stream's entries, oldest first; only its newest `last` ones if given."""
        ...

    def streams(self, prefix: str) -> Sequence[Stream]:
        """The streams whose names begin so, the one with the newest entry first."""
        ...

    def entries(self, *, after: int = 0) -> Iterator[Entry]:
        """Everything after a sequence number, checked as a chain on the way. Raises LedgerCorrupt."""
        ...

    def head(self) -> Checkpoint:
        """Where the ledger ends now."""
        ...
