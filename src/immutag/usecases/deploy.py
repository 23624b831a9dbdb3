"""Deploy a released SHA by its digest (DR-003, DR-005, DR-007, DR-014).

Before: nothing is known but the SHA and the environment. After: the environment runs the recorded digest,
or what ran before runs again; the ledger says which. Killed in between: the next command closes it.
"""

from immutag.core.deployment import EnvironmentState
from immutag.core.facts import Stream
from immutag.core.policy import ensure_forward, ensure_not_held
from immutag.core.values import GitSha, Repository
from immutag.ledger import Ledger
from immutag.usecases.acts import Acts
from immutag.usecases.carry_out import Ended, FindRelease, Guard, MakePlan, Wish, carry_out
from immutag.usecases.plan import History


def deploy(
    sha: GitSha,
    *,
    automatic: bool,
    history: History,
    find_release: FindRelease,
    make_plan: MakePlan,
    acts: Acts,
    ledger: Ledger,
    stream: Stream,
    canonical: Repository,
    run: str | None,
) -> Ended:
    """How it ended. Raises MissingTag, PolicyViolation, DigestMismatch, DeployFailure, LedgerConflict,
    SoftVerifyToolError, RegistryAuth, RegistryUnavailable."""
    return carry_out(
        Wish("deploy", sha, automatic, None, run),
        guard=guard(sha, automatic=automatic, history=history, acts=acts),
        find_release=find_release,
        make_plan=make_plan,
        acts=acts,
        ledger=ledger,
        stream=stream,
        canonical=canonical,
    )


def guard(sha: GitSha, *, automatic: bool, history: History, acts: Acts) -> Guard:
    """A deployment respects hold and quarantine, and goes forward only."""

    def check(state: EnvironmentState) -> None:
        ensure_not_held(state, sha, acts.environment.name, automatic=automatic)
        distance = history.distance(state.current.sha, sha) if state.current else None
        ensure_forward(state, sha, acts.environment.name, distance)

    return check
