"""Keep automatic deployments away from an environment, and let them come back (DR-006)."""

from immutag.core.facts import Held, ReleasedHold, Stream
from immutag.core.values import EnvironmentName, Repository
from immutag.ledger import Ledger
from immutag.usecases.record import append_while
from immutag.usecases.state import state_of


def hold(
    environment: EnvironmentName, reason: str, *, canonical: Repository, ledger: Ledger, stream: Stream
) -> None:
    """Held from now on; a second reason is recorded beside the first."""
    append_while(ledger, stream, Held(canonical, environment, reason, None))


def lift(
    environment: EnvironmentName, reason: str, *, canonical: Repository, ledger: Ledger, stream: Stream
) -> bool:
    """Whether there was a hold to lift; where there was none, nothing is recorded."""
    if not state_of(ledger, stream).held:
        return False
    append_while(ledger, stream, ReleasedHold(canonical, environment, reason))
    return True
