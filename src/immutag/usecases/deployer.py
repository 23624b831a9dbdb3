"""From a SHA to a closed deployment: what deploy and rollback share (DR-014).

Look at the environment (closing what an interrupted command left, and making verification mandatory where
its figures say so), check everything, begin under a lease, bring it up. Whatever stops it before it begins
is recorded, and nothing was touched.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from immutag.core.deployment import EnvironmentState, runs
from immutag.core.errors import ImmutagError, LedgerConflict
from immutag.core.escalation import Figures
from immutag.core.facts import AllowedUnverified, Deploying, Held, Outcome, Stopped, Stream
from immutag.core.frozen import frozen, replace
from immutag.core.policy import Enforcement, in_force
from immutag.core.release import Release
from immutag.core.values import Digest, GitSha, Repository, RepositoryType
from immutag.core.verification import signature_of
from immutag.ledger import Ledger
from immutag.usecases.acts import Acts
from immutag.usecases.bring_up import bring_up
from immutag.usecases.escalate import escalate, read_figures
from immutag.usecases.lease import Lease
from immutag.usecases.plan import Distrusted, Plan, Wish
from immutag.usecases.record import append_anyway, append_while
from immutag.usecases.state import state_of
from immutag.usecases.take_over import ensure_abandoned, take_over

_LOOKS = 20

Guard = Callable[[EnvironmentState], None]
"""What forbids it, given what the environment is now. Raises PolicyViolation."""
FindRelease = Callable[[GitSha], tuple[Release, RepositoryType]]


class MakePlan(Protocol):
    """Every check of a wish; `enforcement` is what is in force. Raises what `plan` raises."""

    def __call__(
        self,
        wish: Wish,
        release: Release,
        repository_type: RepositoryType,
        state: EnvironmentState,
        *,
        enforcement: Enforcement,
    ) -> Plan: ...


@frozen()
class Ended:
    """How it went well: `ok`, `unobserved` or `unchanged`, and the digest that was seen running."""

    outcome: Outcome
    running_digest: Digest | None


@frozen()
class Deployer:
    """Brings releases into one environment. `stream` is the environment's, in the ledger."""

    find_release: FindRelease
    make_plan: MakePlan
    enforcement: Enforcement
    acts: Acts
    ledger: Ledger
    stream: Stream
    canonical: Repository

    def carry_out(self, wish: Wish, guard: Guard) -> Ended:
        """How it ended; every end that is not a good one raises."""
        try:
            release, kind = self.find_release(wish.sha)
            begun = self._begin(wish, guard, release, kind)
        except ImmutagError as error:
            append_anyway(self.ledger, self.stream, self._stopped(wish, error))
            raise
        if isinstance(begun, Ended):
            return begun
        work, state, lease = begun
        closing = bring_up(
            work,
            state=state,
            started=False,
            lease=lease,
            acts=self.acts,
            ledger=self.ledger,
            stream=self.stream,
        )
        with suppress(LedgerConflict):  # whoever went on meanwhile looks at the figures first
            self._escalate(self.state())
        return Ended(closing.outcome, closing.running_digest)

    def rehearse(self, wish: Wish, guard: Guard) -> Plan:
        """Every check, and no act: what `carry_out` would do."""
        release, kind = self.find_release(wish.sha)
        state = self.state()
        if state.open and state.lease:
            ensure_abandoned(state.open, *state.lease)
        guard(state)
        if self._due(state):
            state = replace(state, mandatory=True)
        return self._plan(wish, release, kind, state)

    def hold(self, wish: Wish, state: EnvironmentState) -> None:
        """A rollback holds the environment, and quarantines the SHA that it leaves (DR-006)."""
        left = state.current.sha if state.current and state.current.sha != wish.sha else None
        name, reason = self.acts.environment.name, wish.reason or f"rollback to {wish.sha}"
        append_while(self.ledger, self.stream, Held(self.canonical, name, reason, left))

    def state(self) -> EnvironmentState:
        """What the environment is now."""
        return state_of(self.ledger, self.stream)

    def _begin(
        self, wish: Wish, guard: Guard, release: Release, kind: RepositoryType
    ) -> tuple[Deploying, EnvironmentState, Lease] | Ended:
        """Check everything and take the lease; it has ended if the release runs already.

        A refusal by the ledger counts only if the environment is still as it was looked at.
        """
        for _ in range(_LOOKS):
            state = self.state()
            try:
                if state.open:
                    take_over(state, stream=self.stream, acts=self.acts, ledger=self.ledger, run=wish.run)
                    continue
                if self._escalate(state):
                    continue
                guard(state)
                plan = self._plan(wish, release, kind, state)
                running = _runs_already(plan, self.acts)
                if running:
                    return Ended(Outcome.UNCHANGED, running)
                work, lease = self._take_lease(wish, plan, state)
            except LedgerConflict:
                if self.state().version == state.version:
                    raise
                continue
            if wish.command == "rollback":
                self.hold(wish, state)
            return work, state, lease
        raise LedgerConflict(
            "the environment never came to rest",
            expected=f"a moment without changes to {self.stream}",
            found=f"{_LOOKS} changes by others",
            remedy="run the command again when the others have ended",
        )

    def _plan(self, wish: Wish, release: Release, kind: RepositoryType, state: EnvironmentState) -> Plan:
        return self.make_plan(wish, release, kind, state, enforcement=in_force(self.enforcement, state))

    def _due(self, state: EnvironmentState) -> Figures | None:
        """The figures by which verification becomes mandatory here, before anything else is decided."""
        if self.enforcement is not Enforcement.AUTO or state.mandatory:
            return None
        found = read_figures(self.ledger, self.stream)
        return found if found.reached else None

    def _escalate(self, state: EnvironmentState) -> bool:
        """Whether verification becomes mandatory here by this."""
        due, name = self._due(state), self.acts.environment.name
        if due is None:
            return False
        escalate(state, due, name, canonical=self.canonical, ledger=self.ledger, stream=self.stream)
        self.acts.report.step(f"verification is mandatory in {name} from now on: {due}")
        return True

    def _take_lease(self, wish: Wish, plan: Plan, state: EnvironmentState) -> tuple[Deploying, Lease]:
        """Bring the content near, and then say in the ledger that we begin."""
        self.acts.report.step(f"bring {plan.image} to {plan.environment.name}")
        self.acts.target.prepare(plan.image, timeout_s=plan.environment.timeout_s)
        lease = Lease.lasting(plan.environment.lease_s, run=wish.run)
        work = _deploying(wish, plan, state, lease)
        version = state.version
        if allowed := _allowed(plan):  # before it begins: nothing unverified runs without a word for it
            version = self.ledger.append(self.stream, allowed, after=version).version
        self.ledger.append(self.stream, work, after=version)
        return work, lease

    def _stopped(self, wish: Wish, error: ImmutagError) -> Stopped:
        found = signature_of(error.verification)[:2] if isinstance(error, Distrusted) else None
        return Stopped.by(
            error,
            sha=wish.sha,
            repository=self.canonical,
            command=wish.command,
            stage="pre_deploy",
            environment=self.acts.environment.name,
            signature=found,
        )


def _runs_already(plan: Plan, acts: Acts) -> Digest | None:
    """Its digest, if the ledger and the platform both say that exactly this release runs."""
    current = plan.previous
    if current is None or current.outcome is Outcome.FAILED:
        return None
    if (current.sha, current.image) != (plan.tag.sha, plan.image):
        return None
    return runs(acts.target.observe(timeout_s=acts.environment.timeout_s), plan.accepted)


def _allowed(plan: Plan) -> AllowedUnverified | None:
    """The break-glass, where the plan needs one."""
    if plan.allowed_for is None:
        return None
    return AllowedUnverified(
        sha=plan.tag.sha,
        repository=plan.image.repository,
        digest=plan.image.digest,
        environment=plan.environment.name,
        signature_reason=signature_of(plan.verification)[1],
        reason=plan.allowed_for,
    )


def _deploying(wish: Wish, plan: Plan, state: EnvironmentState, lease: Lease) -> Deploying:
    status, why, _ = signature_of(plan.verification)
    previous = plan.previous
    failed = previous is not None and previous.outcome is Outcome.FAILED
    good = state.good if failed else None
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
        previous_failed=failed,
        good_sha=good.sha if good else None,
        good_image=good.image if good else None,
    )
