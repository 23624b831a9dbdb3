"""What an environment is now, from as little of its stream as says it."""

from immutag.core.deployment import EnvironmentState, fold
from immutag.core.facts import Deploying, Stream
from immutag.ledger import Ledger

_NEWEST = 64


def state_of(ledger: Ledger, stream: Stream) -> EnvironmentState:
    """The fold of the stream. The newest entries are enough, unless what runs came up before them."""
    entries = ledger.stream(stream, last=_NEWEST)
    if not entries or entries[0].version == 1:
        return fold(entries)
    first = next((at for at, entry in enumerate(entries) if isinstance(entry.fact, Deploying)), len(entries))
    state = fold(entries[first:])
    return fold(ledger.stream(stream)) if first == len(entries) or state.restated else state
