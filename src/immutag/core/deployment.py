"""An environment: what runs, who is deploying, and whether automatic deployments may (DR-006, DR-014)."""

from collections.abc import Sequence

from immutag.core.facts import (
    Deploying,
    Entry,
    Failed,
    Healthy,
    Held,
    Mandatory,
    Outcome,
    ReleasedHold,
    Restored,
    RolledBack,
    SignatureStatus,
    TakenOver,
)
from immutag.core.frozen import frozen, replace
from immutag.core.values import Digest, EnvironmentName, GitSha, ImageRef

_RESTATED = "held"


@frozen()
class Placement:
    """What is to run, and what to go back to."""

    image: ImageRef
    sha: GitSha
    environment: EnvironmentName
    previous: ImageRef | None
    previous_sha: GitSha | None


@frozen()
class Running:
    """What the platform says runs: for each instance, every digest it knows for that image."""

    instances: tuple[frozenset[Digest], ...]


@frozen()
class NothingRuns:
    """The platform says that nothing of this environment runs."""


@frozen()
class Unobservable:
    """The target has no way to say what runs."""


Observation = Running | NothingRuns | Unobservable


@frozen()
class HealthCheck:
    """How a release shows that it works: a URL that answers 2xx, or a command that exits 0.

    `contains_sha`: the answer (a header or the body, or the command's output) must hold the full SHA.
    """

    url: str | None
    command: tuple[str, ...]
    timeout_s: float
    contains_sha: bool


@frozen()
class Environment:
    """A place where releases run. `timeout_s` bounds each act of its target."""

    name: EnvironmentName
    production: bool
    target: str
    health: HealthCheck | None
    timeout_s: float
    irreversible: tuple[str, ...]

    @property
    def lease_s(self) -> float:
        """Long enough to place a release, see it unhealthy, and restore the one before."""
        health_s = self.health.timeout_s if self.health else 0.0
        return 2 * (self.timeout_s + health_s) + 60


@frozen()
class Deployed:
    """The last release that was brought up in an environment, and how that ended.

    `accepted`: the digests that a platform may report for it.
    """

    sha: GitSha
    image: ImageRef
    accepted: frozenset[Digest]
    since: str | None
    outcome: Outcome
    running_digest: Digest | None
    signature_status: SignatureStatus | None


@frozen()
class EnvironmentState:
    """What the ledger says about an environment, at `version` of its stream.

    `good`: the last release that came up, which is not `current` if that one failed and nothing was restored.
    `mandatory`: verification became mandatory here by the figures (DR-003), which nothing takes back.
    """

    version: int = 0
    current: Deployed | None = None
    good: Deployed | None = None
    open: Deploying | None = None
    lease: tuple[str, str] | None = None
    hold: str | None = None
    quarantined: tuple[GitSha, ...] = ()
    mandatory: bool = False

    @property
    def held(self) -> bool:
        return self.hold is not None

    @property
    def restated(self) -> bool:
        """Whether some of it is known from a later `deploying` only: not since when, nor why it is held."""
        known = [each for each in (self.current, self.good) if each is not None]
        return self.hold == _RESTATED or any(each.since is None for each in known)


def fold(entries: Sequence[Entry]) -> EnvironmentState:
    """The state that these entries tell of: the whole stream, or its end from any `deploying` on.

    The end says all that decides what may happen but `mandatory`, which is told once and looked up by its
    type; whether details are missing, `restated` says.
    """
    state = EnvironmentState()
    for entry in entries:
        state = replace(_apply(state, entry), version=entry.version)
    return state


def _apply(state: EnvironmentState, entry: Entry) -> EnvironmentState:
    match entry.fact:
        case Deploying() as fact:
            return _begin(state, fact)
        case TakenOver(holder=holder, until=until):
            return replace(state, lease=(holder, until))
        case Healthy() | RolledBack() | Restored() | Failed() as fact:
            return _close(state, fact, entry.time)
        case Held(reason=reason, quarantined=sha):
            added = (sha,) if sha and sha not in state.quarantined else ()
            return replace(state, hold=reason, quarantined=state.quarantined + added)
        case ReleasedHold():
            return replace(state, hold=None)
        case Mandatory():
            return replace(state, mandatory=True)
        case _:
            return state


def _begin(state: EnvironmentState, fact: Deploying) -> EnvironmentState:
    """A deployment restates what it found. A rollback holds from here on, whatever becomes of it."""
    outcome = Outcome.FAILED if fact.previous_failed else Outcome.OK
    current = state.current or _as_found(fact.previous_sha, fact.previous_image, outcome)
    good = state.good or (
        _as_found(fact.good_sha, fact.good_image, Outcome.OK) if fact.previous_failed else current
    )
    hold = state.hold or (_RESTATED if fact.held else None)
    quarantined = fact.quarantined
    if fact.command == "rollback":
        hold = fact.reason or "rollback"
        if fact.previous_sha and fact.previous_sha != fact.sha and fact.previous_sha not in quarantined:
            quarantined = (*quarantined, fact.previous_sha)
    return replace(
        state,
        current=current,
        good=good,
        open=fact,
        lease=(fact.holder, fact.until),
        hold=hold,
        quarantined=quarantined,
    )


def _as_found(sha: GitSha | None, image: ImageRef | None, outcome: Outcome) -> Deployed | None:
    if sha is None or image is None:
        return None
    return Deployed(sha, image, frozenset({image.digest}), None, outcome, None, None)


def _close(
    state: EnvironmentState, fact: Healthy | RolledBack | Restored | Failed, time: str
) -> EnvironmentState:
    signature = state.open.signature_status if state.open else None
    image = ImageRef(fact.repository, fact.digest)
    accepted = frozenset({fact.digest, *(state.open.accepted if state.open else ())})
    if isinstance(fact, Restored):
        left = state.good if state.good and state.good.sha == fact.restored_sha else state.current
        current = left and replace(left, outcome=Outcome.RESTORED, running_digest=fact.running_digest)
    else:
        outcome = Outcome.FAILED if isinstance(fact, Failed) else fact.outcome
        current = Deployed(fact.sha, image, accepted, time, outcome, fact.running_digest, signature)
    quarantined = _after_healthy(state, fact.sha) if isinstance(fact, Healthy) else state.quarantined
    good = state.good if isinstance(fact, Failed) else current
    return replace(state, current=current, good=good, open=None, lease=None, quarantined=quarantined)


def _after_healthy(state: EnvironmentState, sha: GitSha) -> tuple[GitSha, ...]:
    """What stays quarantined. Once another release is healthy, the ancestry guard keeps what is behind it
    away; the release that a rollback went to, deployed once more, is behind what the rollback left."""
    again = state.open is not None and state.open.previous_sha == sha
    return tuple(left for left in state.quarantined if again and left != sha)


def runs(observation: Observation, accepted: frozenset[Digest]) -> Digest | None:
    """The accepted digest that every instance runs; None if any runs something else, or nothing does."""
    if not isinstance(observation, Running) or not observation.instances:
        return None
    common = [instance & accepted for instance in observation.instances]
    return min(common[0]) if all(common) else None


def seen(observation: Observation) -> str:
    """What an observation says, for a message."""
    match observation:
        case Running(instances):
            return ", ".join("|".join(map(str, sorted(instance))) for instance in instances) or "nothing"
        case NothingRuns():
            return "nothing runs"
        case Unobservable():
            return "the target cannot say what runs"
