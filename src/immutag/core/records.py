"""The log records of the contracts, one for each phase, made from facts (DR-010).

All fields are always there, `None` where nothing is known. Durations are seconds, to the millisecond.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from immutag.core.errors import DeployFailure, DigestMismatch, SoftVerifyToolError
from immutag.core.facts import (
    Built,
    Claimed,
    Deploying,
    Described,
    Entry,
    Fact,
    Failed,
    Healthy,
    Outcome,
    Pushed,
    Requested,
    Restored,
    RolledBack,
    SignatureChecked,
    SignatureReason,
    SignatureStatus,
    Stopped,
    Tagged,
)
from immutag.core.values import Digest, GitSha, ImageRef, Repository, ShaTag

Record = dict[str, object]
Closing = Healthy | RolledBack | Restored | Failed
_OfRelease = Requested | Built | Pushed | Claimed | Described | SignatureChecked | Tagged | Stopped
_WithDigest = TypeVar("_WithDigest", Built, Pushed, Claimed, SignatureChecked, Tagged)


def build_record(entries: Sequence[Entry], *, confirmed: bool = False) -> Record:
    """The record of a release, from its stream, however far it came.

    `confirmed`: this run read the tag back and it was right, which is no new fact in a finished release.
    Raises ValueError for entries that are of no release.
    """
    facts = [entry.fact for entry in entries if isinstance(entry.fact, _OfRelease)]
    if not facts:
        raise ValueError("no release in these entries")
    requested = next((fact for fact in reversed(facts) if isinstance(fact, Requested)), None)
    claim = next((fact for fact in facts if isinstance(fact, Claimed)), None)
    mismatch = None if confirmed else _mismatch(facts)
    claimed = claim.digest if claim else None
    held = mismatch.digest if mismatch and mismatch.digest else claimed
    built = _newest(facts, Built, held)
    read_back = _newest(facts, Tagged, claimed) or _newest(facts, Pushed, claimed)
    checked = _newest(facts, SignatureChecked, claimed)
    described = [fact for fact in facts if isinstance(fact, Described) and fact.digest == claimed]
    return {
        "phase": "build",
        "image_sha": str(facts[0].sha),
        "short_sha": str(facts[0].sha.short),
        "image_digest": _text(claimed),
        "repository": str(facts[0].repository),
        "repository_type": requested and requested.repository_type.value,
        "arch": built and built.platform,
        "signature_status": checked and checked.status.value,
        "signature_reason": checked and checked.reason.value,
        "build_duration_sec": built and _seconds(built.duration_ms),
        "pre_push_digest": _text(mismatch.digest if mismatch and mismatch.digest else built and built.digest),
        "post_push_digest": _text(read_back and read_back.digest),
        "digest_verification": "mismatch" if mismatch else "ok" if read_back else None,
        "sbom_ref": _image(described[-1].repository, described[-1].manifest) if described else None,
    }


def deploy_record(
    entries: Sequence[Entry],
    *,
    sha: GitSha | None = None,
    outcome: Outcome | None = None,
    running: Digest | None = None,
) -> Record:
    """The record of the last deployment (of this SHA) in an environment's stream.

    A command that changed nothing leaves no fact: it says so by `outcome` and by what it saw `running`,
    and then there is no duration. Raises ValueError if the stream has no such deployment.
    """
    attempt = _last_attempt(entries, sha)
    record = _common("deploy", attempt, outcome, running)
    record["commits_ahead"] = attempt.work and attempt.work.commits_ahead
    return record


def rollback_record(
    entries: Sequence[Entry],
    *,
    sha: GitSha | None = None,
    outcome: Outcome | None = None,
    running: Digest | None = None,
) -> Record:
    """As `deploy_record`, of a rollback."""
    attempt = _last_attempt(entries, sha)
    record = _common("rollback", attempt, outcome, running)
    record["previous_sha"] = _text(attempt.work and attempt.work.previous_sha)
    record["reason"] = attempt.work and attempt.work.reason
    return record


def _mismatch(facts: Sequence[Fact]) -> Stopped | None:
    """The stop by a digest that was not the right one, unless the right one was read back after it."""
    for fact in reversed(facts):
        if isinstance(fact, Tagged):
            return None
        if isinstance(fact, Stopped) and fact.code == DigestMismatch.code:
            return fact
    return None


def _newest(facts: Sequence[Fact], kind: type[_WithDigest], digest: Digest | None) -> _WithDigest | None:
    """The newest fact of this kind, of this digest if there is one."""
    found = [fact for fact in facts if isinstance(fact, kind)]
    of_digest = [fact for fact in found if fact.digest == digest]
    ordered = found + of_digest
    return ordered[-1] if ordered else None


@dataclass(slots=True)
class _Attempt:
    """A deployment or rollback: it began (`work`), ended (`closing`), or was stopped by an error."""

    work: Deploying | None = None
    closing: Closing | None = None
    stopped: Stopped | None = None

    @property
    def subject(self) -> Deploying | Stopped:
        subject = self.work or self.stopped
        assert subject  # noqa: S101 - an attempt is made from one of them
        return subject


def _last_attempt(entries: Sequence[Entry], sha: GitSha | None) -> _Attempt:
    """The one that the newest facts are about: another may be refused while one is at work."""
    at_work: _Attempt | None = None
    touched: list[_Attempt] = []
    for entry in entries:
        match entry.fact:
            case Deploying() as work:
                at_work = _Attempt(work=work)
                touched.append(at_work)
            case Healthy() | RolledBack() | Restored() | Failed() as closing if at_work:
                at_work.closing = closing
                touched.append(at_work)
            case Stopped(environment=environment) as stopped if environment:
                if at_work is None or not _is_about(stopped, at_work):
                    touched.append(_Attempt(stopped=stopped))
    for attempt in reversed(touched):
        if sha in (None, attempt.subject.sha):
            return attempt
    raise ValueError("no deployment in these entries")


def _is_about(stopped: Stopped, attempt: _Attempt) -> bool:
    """Whether it tells once more how this attempt ended, or is of a later one that never began."""
    work = attempt.work
    if work is None or (stopped.sha, stopped.command) != (work.sha, work.command):
        return False
    return attempt.closing is None or stopped.code == DeployFailure.code or stopped.stage == "running"


def _common(phase: str, attempt: _Attempt, outcome: Outcome | None, running: Digest | None) -> Record:
    """What the records of a deployment and of a rollback share."""
    work, closing, subject = attempt.work, attempt.closing, attempt.subject
    status, reason = _signature(attempt)
    duration_ms = closing.duration_ms if closing and outcome is None else None
    outcome = outcome or _outcome(attempt)
    return {
        "phase": phase,
        "image_sha": str(subject.sha),
        "image_digest": _text(subject.digest),
        "image": _image(subject.repository, subject.digest),
        "tag": str(ShaTag(subject.repository, subject.sha)),
        "repository": str(subject.repository),
        "repository_type": work and work.repository_type.value,
        "environment": str(subject.environment),
        "target": work and work.target,
        "signature_status": status and status.value,
        "signature_reason": reason and reason.value,
        f"{phase}_duration_sec": None if duration_ms is None else _seconds(duration_ms),
        "outcome": outcome and outcome.value,
        "running_digest": _text(running or (closing and closing.running_digest)),
    }


def _outcome(attempt: _Attempt) -> Outcome | None:
    """How it ended; not known while it is at work, or when whoever did it is gone."""
    match attempt.closing:
        case Healthy(outcome=outcome) | RolledBack(outcome=outcome):
            return outcome
        case Restored():
            return Outcome.RESTORED
        case Failed():
            return Outcome.FAILED
        case None:
            return None if attempt.work else Outcome.FAILED


def _signature(attempt: _Attempt) -> tuple[SignatureStatus | None, SignatureReason | None]:
    if attempt.work:
        return attempt.work.signature_status, attempt.work.signature_reason
    if attempt.stopped and attempt.stopped.code == SoftVerifyToolError.code:
        return SignatureStatus.UNVERIFIED, SignatureReason.ERROR
    if attempt.stopped:
        return attempt.stopped.signature_status, attempt.stopped.signature_reason
    return None, None


def _image(repository: Repository, digest: Digest | None) -> str | None:
    return str(ImageRef(repository, digest)) if digest else None


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _seconds(duration_ms: int) -> float:
    return round(duration_ms / 1000, 3)
