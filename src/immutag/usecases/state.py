"""What an environment is now, from as little of its stream as says it."""

from immutag.core.deployment import EnvironmentState, fold
from immutag.core.facts import Deploying, Entry, Mandatory, Stream
from immutag.core.frozen import replace
from immutag.ledger import Ledger

_NEWEST = 64


def state_of(ledger: Ledger, stream: Stream) -> EnvironmentState:
    """The fold of the stream. The newest entries are enough, unless what runs came up before them."""
    entries = ledger.stream(stream, last=_NEWEST)
    if not entries or entries[0].version == 1:
        return fold(entries)
    first = next((at for at, entry in enumerate(entries) if isinstance(entry.fact, Deploying)), len(entries))
    state = fold(entries[first:])
    if first == len(entries) or state.restated:
        return fold(ledger.stream(stream))
    return replace(state, mandatory=made_mandatory(ledger, stream) is not None)


def made_mandatory(ledger: Ledger, stream: Stream) -> Entry | None:
    """The entry by which verification became mandatory there. Told once, it may lie far back in the stream;
    of its type there are no more than environments."""
    told = ledger.recent(kind=Mandatory)
    return next((entry for entry in told if entry.stream == stream), None)
