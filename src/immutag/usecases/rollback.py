"""Go back to a release that exists (DR-006). Never builds: an import contract sees to that.

Before: an explicit SHA. After: the environment runs its recorded digest, or what ran before runs again;
either way it is held until a person lifts the hold. Killed in between: the next command closes it, and
the hold stands, since it begins with the rollback itself.
"""

from immutag.core.deployment import Environment, EnvironmentState
from immutag.core.errors import PolicyViolation
from immutag.core.policy import ensure_reversible
from immutag.core.values import GitSha
from immutag.usecases.deployer import Deployer, Ended, Guard
from immutag.usecases.plan import History, Plan, Wish


def rollback(
    sha: GitSha,
    *,
    reason: str | None,
    acknowledged: bool,
    allow_unverified: bool = False,
    deployer: Deployer,
    history: History,
    run: str | None,
) -> Ended:
    """How it ended. Raises what `deploy` raises; PolicyViolation also for irreversible paths."""
    wish = Wish("rollback", sha, False, reason, run, allow_unverified)
    guard = _guard(sha, deployer.acts.environment, acknowledged=acknowledged, history=history)
    ended = deployer.carry_out(wish, guard)
    state = deployer.state()
    if not state.held:  # it ran already: what the person wants is that it stays
        deployer.hold(wish, state)
    return ended


def rehearse(
    sha: GitSha,
    *,
    reason: str | None = None,
    acknowledged: bool,
    allow_unverified: bool = False,
    deployer: Deployer,
    history: History,
) -> Plan:
    """What `rollback` would do: every check, and no act."""
    guard = _guard(sha, deployer.acts.environment, acknowledged=acknowledged, history=history)
    return deployer.rehearse(Wish("rollback", sha, False, reason, None, allow_unverified), guard)


def _guard(sha: GitSha, environment: Environment, *, acknowledged: bool, history: History) -> Guard:
    """A rollback does not go to what a rollback left, nor over irreversible paths unacknowledged."""

    def check(state: EnvironmentState) -> None:
        if sha in state.quarantined:
            raise PolicyViolation(
                f"{sha} is quarantined: a rollback left it",
                expected="a SHA that no rollback has left",
                found=str(sha),
                remedy="lift the hold, then deploy it by hand",
            )
        changed = history.changed_paths(sha, state.current.sha) if state.current else []
        ensure_reversible(changed, environment, acknowledged=acknowledged)

    return check
