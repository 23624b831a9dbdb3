"""What the metrics count, as a fold over the ledger's entries. Pure."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from immutag.core.errors import DigestMismatch, SoftVerifyToolError
from immutag.core.facts import (
    Built,
    Deploying,
    Entry,
    Failed,
    Healthy,
    Outcome,
    Requested,
    Restored,
    RolledBack,
    SignatureChecked,
    SignatureReason,
    SignatureStatus,
    Stopped,
    Stream,
)
from immutag.core.values import Repository

Closing = Healthy | RolledBack | Restored | Failed


@dataclass(slots=True)
class Durations:
    """Observations in buckets; `bounds_s` are upper bounds, the last bucket has none."""

    bounds_s: tuple[float, ...]
    counts: list[int] = field(init=False)
    sum_ms: int = 0

    def __post_init__(self) -> None:
        self.counts = [0] * (len(self.bounds_s) + 1)

    def observe(self, duration_ms: int) -> None:
        self.counts[bisect_left(self.bounds_s, duration_ms / 1000)] += 1
        self.sum_ms += duration_ms


@dataclass(slots=True)
class Totals:
    """Everything counted so far. The bounds surround what users hold us to: 10 min, 5 min, 120 s."""

    builds: Counter[str] = field(default_factory=Counter)
    deployments: Counter[tuple[str, str]] = field(default_factory=Counter)
    rollbacks: Counter[str] = field(default_factory=Counter)
    verifications: Counter[tuple[str, str]] = field(default_factory=Counter)
    mismatches: Counter[str] = field(default_factory=Counter)
    build: Durations = field(default_factory=lambda: Durations((5, 15, 30, 60, 120, 300, 600, 900, 1800)))
    deploy: Durations = field(default_factory=lambda: Durations((1, 2, 5, 10, 30, 60, 120, 300, 600)))
    rollback: Durations = field(default_factory=lambda: Durations((1, 2, 5, 10, 20, 30, 60, 120, 300)))


def fold(entries: Iterable[Entry]) -> Totals:
    """The totals over all entries, from the first on."""
    totals = Totals()
    types: dict[Repository, str] = {}
    at_work: dict[Stream, Deploying] = {}
    for entry in entries:
        match entry.fact:
            case Requested() as requested:
                types[requested.repository] = requested.repository_type.value
            case Built() as built:
                totals.builds[types.get(built.repository, "unknown")] += 1
                totals.build.observe(built.duration_ms)
            case Deploying() as work:
                at_work[entry.stream] = work
                _count_signature(totals, work.signature_status, work.signature_reason)
            case Healthy() | RolledBack() | Restored() | Failed() as closing:
                if work_done := at_work.pop(entry.stream, None):
                    _count_deployment(totals, work_done, closing)
            case SignatureChecked() as checked:
                _count_signature(totals, checked.status, checked.reason)
            case Stopped() as stopped:
                _count_stop(totals, stopped)
    return totals


def _count_deployment(totals: Totals, work: Deploying, closing: Closing) -> None:
    """However it ended. A rollback that restored what it came from is a rollback too."""
    if work.command == "rollback":
        totals.rollbacks[work.repository_type.value] += 1
        totals.rollback.observe(closing.duration_ms)
    else:
        totals.deployments[work.environment.value, _outcome(closing).value] += 1
        totals.deploy.observe(closing.duration_ms)


def _outcome(closing: Closing) -> Outcome:
    match closing:
        case Healthy(outcome=outcome) | RolledBack(outcome=outcome):
            return outcome
        case Restored():
            return Outcome.RESTORED
        case Failed():
            return Outcome.FAILED


def _count_signature(totals: Totals, status: SignatureStatus, reason: SignatureReason) -> None:
    totals.verifications[status.value, reason.value] += 1


def _count_stop(totals: Totals, stopped: Stopped) -> None:
    if stopped.code == DigestMismatch.code:
        totals.mismatches[stopped.stage] += 1
    elif stopped.code == SoftVerifyToolError.code:
        _count_signature(totals, SignatureStatus.UNVERIFIED, SignatureReason.ERROR)
    elif stopped.signature_status and stopped.signature_reason:
        _count_signature(totals, stopped.signature_status, stopped.signature_reason)
