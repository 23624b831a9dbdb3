"""Run an image under a lease, and see that it runs; otherwise run the one before (DR-014).

Shared by deploy and rollback. Before: `deploying` is in the ledger, with our lease. After: exactly one
closing fact. Killed in between: whoever comes next observes, and closes it (`take_over`).
"""

import time

from immutag.core.deployment import EnvironmentState, Placement
from immutag.core.errors import DigestMismatch, ImmutagError, LedgerConflict, LedgerCorrupt
from immutag.core.facts import (
    Deploying,
    Failed,
    Healthy,
    Outcome,
    Restored,
    RolledBack,
    Stopped,
    Stream,
)
from immutag.core.values import Digest, ImageRef
from immutag.ledger import Ledger
from immutag.usecases.acts import Acts
from immutag.usecases.lease import Lease
from immutag.usecases.record import append_anyway, append_while
from immutag.usecases.state import state_of


def bring_up(
    work: Deploying,
    *,
    state: EnvironmentState,
    started: bool,
    lease: Lease,
    acts: Acts,
    ledger: Ledger,
    stream: Stream,
) -> Healthy | RolledBack:
    """The closing fact of this work. `state` is what its `deploying` found; `started`: the release
    was placed already, by somebody who is gone.

    Raises DeployFailure, DigestMismatch or ConfigInvalid, after the closing fact, when the release did not
    come up; LedgerConflict when the lease ran out or was taken over.
    """
    begun = time.monotonic()
    placement = placement_of(work)
    accepted = frozenset(work.accepted)
    try:
        bring = acts.settle if started else acts.bring
        running = bring(placement, accepted, lease)
    except (LedgerConflict, LedgerCorrupt):  # the environment is not ours any more: no further act
        raise
    except ImmutagError as error:
        if isinstance(error, DigestMismatch):
            append_anyway(ledger, stream, _mismatch(work, error))
        closing = go_back(work, str(error), state=state, lease=lease, acts=acts, ledger=ledger, stream=stream)
        raise type(error)(
            error.message,
            expected=error.expected,
            found=error.found,
            remedy=f"{_now(closing)}; {error.remedy}",
        ) from error
    success = _success(work, running, begun)
    close(ledger, stream, success, lease)
    return success


def go_back(
    work: Deploying,
    why: str,
    *,
    state: EnvironmentState,
    lease: Lease,
    acts: Acts,
    ledger: Ledger,
    stream: Stream,
) -> Restored | Failed:
    """Run what came up before, where something did, and close the work with how that went."""
    begun = time.monotonic()
    placement = placement_of(work)
    if placement.previous and placement.previous_sha:
        before = state.good if work.previous_failed else state.current
        accepted = before.accepted if before else frozenset({placement.previous.digest})
        try:
            running = acts.back(placement, accepted, lease)
        except (LedgerConflict, LedgerCorrupt):
            raise
        except ImmutagError as error:
            why = f"{why}; then the release before could not be restored: {error}: {error.found}"
        else:
            restored = Restored(
                sha=work.sha,
                repository=work.repository,
                digest=work.digest,
                environment=work.environment,
                restored_sha=placement.previous_sha,
                restored_digest=placement.previous.digest,
                running_digest=running,
                why=why,
                duration_ms=_ms(begun),
            )
            close(ledger, stream, restored, lease)
            return restored
    else:
        acts.clear(placement, lease)
    failed = Failed(work.sha, work.repository, work.digest, work.environment, None, why, _ms(begun))
    close(ledger, stream, failed, lease)
    return failed


def close(
    ledger: Ledger, stream: Stream, fact: Healthy | RolledBack | Restored | Failed, lease: Lease
) -> None:
    """Append the closing fact, as long as the open deployment is still ours."""

    def ours() -> bool:
        return state_of(ledger, stream).lease == (lease.holder, lease.until)

    append_while(ledger, stream, fact, still=ours)


def placement_of(work: Deploying) -> Placement:
    """What comes back is what came up last, which the release before may not have done."""
    image, sha = (
        (work.good_image, work.good_sha) if work.previous_failed else (work.previous_image, work.previous_sha)
    )
    return Placement(ImageRef(work.repository, work.digest), work.sha, work.environment, image, sha)


def _success(work: Deploying, running: Digest | None, begun: float) -> Healthy | RolledBack:
    outcome = Outcome.OK if running else Outcome.UNOBSERVED
    if work.command == "rollback":
        return RolledBack(
            sha=work.sha,
            repository=work.repository,
            digest=work.digest,
            environment=work.environment,
            outcome=outcome,
            previous_sha=work.previous_sha,
            running_digest=running,
            duration_ms=_ms(begun),
        )
    return Healthy(work.sha, work.repository, work.digest, work.environment, outcome, running, _ms(begun))


def _ms(begun: float) -> int:
    return round((time.monotonic() - begun) * 1000)


def _mismatch(work: Deploying, error: DigestMismatch) -> Stopped:
    return Stopped.by(
        error,
        sha=work.sha,
        repository=work.repository,
        command=work.command,
        stage="running",
        digest=work.digest,
        environment=work.environment,
    )


def _now(closing: Restored | Failed) -> str:
    if isinstance(closing, Restored):
        return f"{closing.restored_sha} runs again"
    return "nothing was restored"
