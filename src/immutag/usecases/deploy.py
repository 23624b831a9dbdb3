"""Deploy a released SHA by its digest (DR-003, DR-005, DR-007, DR-014).

Before: nothing is known but the SHA and the environment. After: the environment runs the recorded digest,
or what ran before runs again; the ledger says which. Killed in between: the next command closes it.
"""

from immutag.core.deployment import EnvironmentState
from immutag.core.policy import ensure_forward, ensure_not_held
from immutag.core.values import EnvironmentName, GitSha
from immutag.usecases.deployer import Deployer, Ended, Guard
from immutag.usecases.plan import History, Plan, Wish


def deploy(
    sha: GitSha,
    *,
    automatic: bool,
    reason: str | None = None,
    allow_unverified: bool = False,
    deployer: Deployer,
    history: History,
    run: str | None,
) -> Ended:
    """How it ended. Raises MissingTag, PolicyViolation, DigestMismatch, DeployFailure, LedgerConflict,
    SoftVerifyToolError, RegistryAuth, RegistryUnavailable."""
    guard = _guard(sha, deployer.acts.environment.name, automatic=automatic, history=history)
    return deployer.carry_out(Wish("deploy", sha, automatic, reason, run, allow_unverified), guard)


def rehearse(
    sha: GitSha,
    *,
    automatic: bool,
    reason: str | None = None,
    allow_unverified: bool = False,
    deployer: Deployer,
    history: History,
) -> Plan:
    """What `deploy` would do: every check, and no act."""
    guard = _guard(sha, deployer.acts.environment.name, automatic=automatic, history=history)
    return deployer.rehearse(Wish("deploy", sha, automatic, reason, None, allow_unverified), guard)


def _guard(sha: GitSha, name: EnvironmentName, *, automatic: bool, history: History) -> Guard:
    """A deployment respects hold and quarantine, and goes forward only."""

    def check(state: EnvironmentState) -> None:
        ensure_not_held(state, sha, name, automatic=automatic)
        distance = history.distance(state.current.sha, sha) if state.current else None
        ensure_forward(state, sha, name, distance)

    return check
