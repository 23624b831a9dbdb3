"""From a SHA to a closed deployment: what deploy and rollback share (DR-014).

Look at the environment (closing what an interrupted command left), check everything, begin under a lease,
bring it up. Whatever stops it before it begins is recorded, and nothing was touched.
"""

from collections.abc import Callable
from dataclasses import dataclass

from immutag.core.deployment import EnvironmentState, runs
from immutag.core.errors import ImmutagError, LedgerConflict
from immutag.core.facts import Deploying, Held, Outcome, Stopped, Stream
from immutag.core.release import Release
from immutag.core.values import Digest, GitSha, Repository, RepositoryType
from immutag.core.verification import signature_of
from immutag.ledger import Ledger
from immutag.usecases.acts import Acts
from immutag.usecases.bring_up import bring_up
from immutag.usecases.lease import Lease
from immutag.usecases.plan import Command, Plan
from immutag.usecases.record import append_anyway, append_while
from immutag.usecases.state import state_of
from immutag.usecases.take_over import take_over

_LOOKS = 20

Guard = Callable[[EnvironmentState], None]
"""What forbids it, given what the environment is now. Raises PolicyViolation."""
FindRelease = Callable[[GitSha], tuple[Release, RepositoryType]]
MakePlan = Callable[[Command, Release, RepositoryType, EnvironmentState], Plan]


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person or CI asked for. `run`: the address of the CI run that asks, if any."""

    command: Command
    sha: GitSha
    automatic: bool
    reason: str | None
    run: str | None


@dataclass(frozen=True, slots=True)
class Ended:
    """How it went well: `ok`, `unobserved` or `unchanged`, and the digest that was seen running."""

    outcome: Outcome
    running_digest: Digest | None


def carry_out(
    wish: Wish,
    *,
    guard: Guard,
    find_release: FindRelease,
    make_plan: MakePlan,
    acts: Acts,
    ledger: Ledger,
    stream: Stream,
    canonical: Repository,
) -> Ended:
    """How it ended; every end that is not a good one raises."""
    try:
        release, kind = find_release(wish.sha)
        begun = _begin(
            wish, release, kind, guard=guard, make_plan=make_plan, acts=acts, ledger=ledger, stream=stream
        )
    except ImmutagError as error:
        append_anyway(ledger, stream, _stopped(wish, error, acts, canonical))
        raise
    if isinstance(begun, Ended):
        return begun
    work, state, lease = begun
    closing = bring_up(work, state=state, started=False, lease=lease, acts=acts, ledger=ledger, stream=stream)
    return Ended(closing.outcome, closing.running_digest)


def _begin(
    wish: Wish,
    release: Release,
    kind: RepositoryType,
    *,
    guard: Guard,
    make_plan: MakePlan,
    acts: Acts,
    ledger: Ledger,
    stream: Stream,
) -> tuple[Deploying, EnvironmentState, Lease] | Ended:
    """Check everything and take the lease; it has ended if the release runs already.

    A refusal by the ledger counts only if the environment is still as it was looked at.
    """
    for _ in range(_LOOKS):
        state = state_of(ledger, stream)
        try:
            if state.open:
                take_over(state, stream=stream, acts=acts, ledger=ledger, run=wish.run)
                continue
            guard(state)
            plan = make_plan(wish.command, release, kind, state)
            running = _runs_already(plan, acts)
            if running:
                return Ended(Outcome.UNCHANGED, running)
            acts.report.step(f"bring {plan.image} to {plan.environment.name}")
            acts.target.prepare(plan.image, timeout_s=plan.environment.timeout_s)
            lease = Lease.lasting(plan.environment.lease_s, run=wish.run)
            work = _deploying(wish, plan, state, lease)
            ledger.append(stream, work, after=state.version)
        except LedgerConflict:
            if state_of(ledger, stream).version == state.version:
                raise
            continue
        if wish.command == "rollback":
            append_while(ledger, stream, hold_after(wish, plan.image.repository, state, acts))
        return work, state, lease
    raise LedgerConflict(
        "the environment never came to rest",
        expected=f"a moment without changes to {stream}",
        found=f"{_LOOKS} changes by others",
        remedy="run the command again when the others have ended",
    )


def hold_after(wish: Wish, repository: Repository, state: EnvironmentState, acts: Acts) -> Held:
    """A rollback holds the environment, and quarantines the SHA that it leaves (DR-006)."""
    left = state.current.sha if state.current and state.current.sha != wish.sha else None
    return Held(repository, acts.environment.name, wish.reason or f"rollback to {wish.sha}", left)


def _runs_already(plan: Plan, acts: Acts) -> Digest | None:
    """Its digest, if the ledger and the platform both say that exactly this release runs."""
    current = plan.previous
    if current is None or current.outcome is Outcome.FAILED:
        return None
    if (current.sha, current.image) != (plan.tag.sha, plan.image):
        return None
    return runs(acts.target.observe(timeout_s=acts.environment.timeout_s), plan.accepted)


def _deploying(wish: Wish, plan: Plan, state: EnvironmentState, lease: Lease) -> Deploying:
    status, why, _ = signature_of(plan.verification)
    previous = plan.previous
    return Deploying(
        sha=plan.tag.sha,
        repository=plan.image.repository,
        digest=plan.image.digest,
        accepted=tuple(sorted(plan.accepted)),
        repository_type=plan.repository_type,
        environment=plan.environment.name,
        target=plan.environment.target,
        command=wish.command,
        automatic=wish.automatic,
        reason=wish.reason,
        previous_sha=previous.sha if previous else None,
        previous_image=previous.image if previous else None,
        commits_ahead=plan.distance[0] if plan.distance else None,
        signature_status=status,
        signature_reason=why,
        held=state.held,
        quarantined=state.quarantined,
        holder=lease.holder,
        until=lease.until,
    )


def _stopped(wish: Wish, error: ImmutagError, acts: Acts, canonical: Repository) -> Stopped:
    return Stopped.by(
        error,
        sha=wish.sha,
        repository=canonical,
        command=wish.command,
        stage="pre_deploy",
        environment=acts.environment.name,
    )
