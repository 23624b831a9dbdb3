"""What an environment is now, from as little of its stream as says it."""

from immutag.core.deployment import EnvironmentState, fold
from immutag.core.facts import Deploying, Stream
from immutag.ledger import Ledger

_NEWEST = 64


def state_of(ledger: Ledger, stream: Stream) -> EnvironmentState:
    """The fold of the stream. A `deploying` restates what it found, so the newest entries are enough."""
    entries = ledger.stream(stream, last=_NEWEST)
    if entries and entries[0].version > 1:
        first = next((at for at, entry in enumerate(entries) if isinstance(entry.fact, Deploying)), None)
        entries = ledger.stream(stream) if first is None else entries[first:]
    return fold(entries)
