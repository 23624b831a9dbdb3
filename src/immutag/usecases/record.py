"""Append a fact that holds whatever else happens to the stream meanwhile."""

from collections.abc import Callable

from immutag.core.errors import ImmutagError, LedgerConflict
from immutag.core.facts import Entry, Fact, Stopped, Stream
from immutag.ledger import Ledger

_TRIES = 200


def append_while(
    ledger: Ledger, stream: Stream, fact: Fact, *, still: Callable[[], bool] = lambda: True
) -> Entry:
    """Append after whatever others appended, as long as `still` holds.

    Raises LedgerConflict when it no longer does, or the ledger cannot be written.
    """
    for _ in range(_TRIES):
        newest = ledger.stream(stream, last=1)
        version = newest[-1].version if newest else 0
        if not still():
            break
        try:
            return ledger.append(stream, fact, after=version)
        except LedgerConflict:
            now = ledger.stream(stream, last=1)
            if (now[-1].version if now else 0) == version:
                raise
    raise LedgerConflict(
        f"somebody else went on with {stream} meanwhile",
        expected=f"to append {fact.type}",
        found="a lease that is no longer ours",
        remedy="immutag status",
    )


def append_anyway(ledger: Ledger, stream: Stream, stopped: Stopped) -> None:
    """Record why a command stopped. That the ledger cannot take it must not hide the reason itself."""
    try:
        append_while(ledger, stream, stopped)
    except ImmutagError:
        return
