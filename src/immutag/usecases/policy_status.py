"""How far an environment is from mandatory verification (DR-003)."""

from immutag.core.escalation import WINDOW, Figures
from immutag.core.facts import Mandatory, Stream
from immutag.core.frozen import fields
from immutag.core.policy import Enforcement, in_force
from immutag.core.values import EnvironmentName
from immutag.core.views import Document
from immutag.ledger import Ledger
from immutag.usecases.escalate import read_figures
from immutag.usecases.state import made_mandatory, state_of


def policy_status(
    name: EnvironmentName, enforcement: Enforcement, *, ledger: Ledger, stream: Stream
) -> Document:
    """What the setting means there now, the figures, and what is lacking. `decided_by`: the figures by which
    it became mandatory, `since` then."""
    made = made_mandatory(ledger, stream)
    found = read_figures(ledger, stream)
    return {
        "environment": str(name),
        "verification": enforcement.value,
        "in_force": in_force(enforcement, state_of(ledger, stream)).value,
        "since": made.time if made else None,
        "decided_by": _numbers(_of(made.fact)) if made and isinstance(made.fact, Mandatory) else None,
        "window": WINDOW,
        "figures": _numbers(found),
        "reached": found.reached,
        "lacking": list(found.lacking),
    }


def _of(fact: Mandatory) -> Figures:
    return Figures(fact.deployed, fact.signed, fact.checks, fact.failures)


def _numbers(found: Figures) -> dict[str, int]:
    return {field.name: getattr(found, field.name) for field in fields(found)}
