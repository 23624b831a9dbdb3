"""Make verification mandatory in an environment, once its figures say so (DR-003).

Before: `auto`, and soft until now. After: one `Mandatory` fact with the figures, which nothing takes back.
Killed in between: whoever decides next about this environment looks at the figures first.
"""

from immutag.core.deployment import EnvironmentState
from immutag.core.escalation import Figures, covers, figures
from immutag.core.facts import Mandatory, Stream
from immutag.core.values import EnvironmentName, Repository
from immutag.ledger import Ledger

_NEWEST = 128


def escalate(
    state: EnvironmentState,
    found: Figures,
    environment: EnvironmentName,
    *,
    canonical: Repository,
    ledger: Ledger,
    stream: Stream,
) -> None:
    """Append the fact. Raises LedgerConflict if the stream has moved on from this state."""
    fact = Mandatory(canonical, environment, found.deployed, found.signed, found.checks, found.failures)
    ledger.append(stream, fact, after=state.version)


def read_figures(ledger: Ledger, stream: Stream) -> Figures:
    """The environment's figures now, from as little of its stream as says them."""
    last = _NEWEST
    while True:
        entries = ledger.stream(stream, last=last)
        if len(entries) < last or covers(entries):
            return figures(entries)
        last *= 4
