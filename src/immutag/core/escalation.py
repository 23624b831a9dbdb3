"""When verification becomes mandatory: figures over an environment's facts (DR-003). Pure, and in integers.

Over the newest 30 distinct SHAs that came up in an environment: more than 90 % of them signed, and fewer than
1 % of the verifications of the signed ones failed. By which figures it was decided is a `Mandatory` fact.
"""

from collections.abc import Sequence

from immutag.core.errors import SoftVerifyToolError
from immutag.core.facts import (
    Deploying,
    Entry,
    Healthy,
    RolledBack,
    SignatureReason,
    SignatureStatus,
    Stopped,
)
from immutag.core.frozen import frozen
from immutag.core.values import GitSha

WINDOW = 30
_MORE_THAN_PERCENT = 90
_FEWER_THAN_PERCENT = 1

_BY_SOMEBODY_KNOWN = frozenset({SignatureReason.NOT_APPLICABLE, SignatureReason.INVALID})
_FAILURES = frozenset(
    {
        SignatureReason.INVALID,
        SignatureReason.KEY_NOT_FOUND,
        SignatureReason.IDENTITY_MISMATCH,
        SignatureReason.ERROR,
    }
)
_NO_SIGNATURE_SEEN = frozenset({SignatureReason.MISSING, SignatureReason.ERROR})


@frozen()
class Figures:
    """Of `deployed` distinct SHAs, `signed` have a signature by a known key or identity; of the `checks` of
    those that have one by anybody, `failures` ended badly."""

    deployed: int
    signed: int
    checks: int
    failures: int

    def __str__(self) -> str:
        return (
            f"{self.signed} of {self.deployed} SHAs signed, {self.failures} of {self.checks} "
            "verifications of those failed"
        )

    @property
    def reached(self) -> bool:
        """Whether verification becomes mandatory by these figures."""
        return self.deployed >= WINDOW and self.signed_enough and self.failed_little

    @property
    def signed_enough(self) -> bool:
        """More than 90 % of what was deployed: 28 of 30, not 27."""
        return 100 * self.signed > _MORE_THAN_PERCENT * self.deployed

    @property
    def failed_little(self) -> bool:
        """Fewer than 1 % of the checks; where nothing was checked, nothing is known."""
        return 100 * self.failures < _FEWER_THAN_PERCENT * self.checks

    @property
    def lacking(self) -> tuple[str, ...]:
        """What is still missing, in words; nothing when it is reached."""
        wanted = 1 + _MORE_THAN_PERCENT * max(self.deployed, WINDOW) // 100
        allowed = max(0, (_FEWER_THAN_PERCENT * self.checks - 1) // 100)
        found = []
        if self.deployed < WINDOW:
            found.append(
                f"{WINDOW - self.deployed} more distinct SHAs deployed ({self.deployed} of {WINDOW})"
            )
        if self.signed < wanted:
            found.append(
                f"{wanted - self.signed} more of them signed ({self.signed}, and {wanted} is the least)"
            )
        if self.failures > allowed:
            found.append(
                f"fewer failed verifications of signed images ({self.failures} of {self.checks}, "
                f"and {allowed} is the most)"
            )
        return tuple(found)


def figures(entries: Sequence[Entry]) -> Figures:
    """Of the newest 30 distinct SHAs that came up, by these entries: an environment's stream, or its end.

    A SHA is *deployed* when it came up, by a deployment or a rollback. It is *signed* when one of its
    verifications, from the first of those deployments on, found a signature by a known key or identity. The
    *failures* are counted over the verifications of all that have a signature by anybody: one that is by an
    unknown key, or whose state could not be determined, is one; a missing one is none.
    """
    window = _window(entries)
    checks = [check for each in entries[window.begin or 0 :] if (check := _check(each))]
    checks = [(sha, reason) for sha, reason in checks if sha in window.shas]
    signed = {sha for sha, reason in checks if reason in _BY_SOMEBODY_KNOWN}
    by_anybody = {sha for sha, reason in checks if reason not in _NO_SIGNATURE_SEEN}
    ended = [reason for sha, reason in checks if sha in by_anybody]
    return Figures(len(window.shas), len(signed), len(ended), sum(reason in _FAILURES for reason in ended))


def covers(entries: Sequence[Entry]) -> bool:
    """Whether this end of a stream holds all that the figures are about."""
    return _window(entries).begin is not None


@frozen()
class _Window:
    """The newest SHAs that came up; where the first of their deployments began, if there are 30."""

    shas: frozenset[GitSha]
    begin: int | None


def _window(entries: Sequence[Entry]) -> _Window:
    shas: set[GitSha] = set()
    for at in range(len(entries) - 1, -1, -1):
        match entries[at].fact:
            case Healthy(sha=sha) | RolledBack(sha=sha):
                shas.add(sha)
            case Deploying() if len(shas) == WINDOW:
                return _Window(frozenset(shas), at)
    return _Window(frozenset(shas), None)


def _check(entry: Entry) -> tuple[GitSha, SignatureReason] | None:
    """The SHA that was verified, and how that ended."""
    match entry.fact:
        case Deploying(sha=sha, signature_status=SignatureStatus.VERIFIED):
            return sha, SignatureReason.NOT_APPLICABLE
        case Deploying(sha=sha, signature_reason=reason):
            return sha, reason
        case Stopped(sha=sha, code=SoftVerifyToolError.code):
            return sha, SignatureReason.ERROR
        case _:
            return None
