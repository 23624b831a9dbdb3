"""What a rollback could go to: nothing is picked, a person reads and chooses (DR-006)."""

from datetime import UTC, datetime
from typing import Protocol

from immutag.core.facts import Deploying, Stream
from immutag.core.values import EnvironmentName, GitSha
from immutag.core.views import Document, brought_up
from immutag.ledger import Ledger
from immutag.usecases.plan import History
from immutag.usecases.state import state_of

_LIMIT = 10
_UNITS = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))


class Commits(History, Protocol):
    """A clone that can also say what a commit is about."""

    def subject(self, sha: GitSha) -> str | None: ...


def candidates(name: EnvironmentName, *, ledger: Ledger, stream: Stream, history: Commits) -> list[Document]:
    """The releases that came up here before, newest first, but for what runs and what is quarantined."""
    state = state_of(ledger, stream)
    current = state.current.sha if state.current else None
    entries = ledger.stream(stream)
    signatures = {
        entry.fact.sha: entry.fact.signature_status.value
        for entry in entries
        if isinstance(entry.fact, Deploying)
    }
    found: list[Document] = []
    for entry in brought_up(entries):
        fact = entry.fact
        if fact.sha == current or fact.sha in state.quarantined:
            continue
        away = history.distance(current, fact.sha) if current else None
        found.append(
            {
                "sha": str(fact.sha),
                "digest": str(fact.digest),
                "deployed_at": entry.time,
                "age": _age(entry.time),
                "outcome": fact.outcome.value,
                "signature": signatures.get(fact.sha),
                "distance": f"{away[0]} ahead, {away[1]} behind" if away else None,
                "subject": history.subject(fact.sha),
                "command": f"immutag rollback --environment {name} --sha {fact.sha}",
            }
        )
    return found[:_LIMIT]


def _age(time: str) -> str:
    """How long ago, in the largest whole unit."""
    seconds = max(0, int((datetime.now(UTC) - datetime.fromisoformat(time)).total_seconds()))
    return next((f"{seconds // size} {unit}" for unit, size in _UNITS if seconds >= size), "now")
