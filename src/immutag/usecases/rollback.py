"""Go back to a release that exists (DR-006). Never builds: an import contract sees to that.

Before: an explicit SHA. After: the environment runs its recorded digest, or what ran before runs again;
either way it is held until a person lifts the hold. Killed in between: the next command closes it, and
the hold stands, since it begins with the rollback itself.
"""

from immutag.core.deployment import EnvironmentState
from immutag.core.errors import PolicyViolation
from immutag.core.facts import Stream
from immutag.core.policy import ensure_reversible
from immutag.core.values import GitSha, Repository
from immutag.ledger import Ledger
from immutag.usecases.acts import Acts
from immutag.usecases.carry_out import Ended, FindRelease, Guard, MakePlan, Wish, carry_out, hold_after
from immutag.usecases.plan import History
from immutag.usecases.record import append_while
from immutag.usecases.state import state_of


def rollback(
    sha: GitSha,
    *,
    reason: str | None,
    acknowledged: bool,
    history: History,
    find_release: FindRelease,
    make_plan: MakePlan,
    acts: Acts,
    ledger: Ledger,
    stream: Stream,
    canonical: Repository,
    run: str | None,
) -> Ended:
    """How it ended. Raises what `deploy` raises; PolicyViolation also for irreversible paths."""
    wish = Wish("rollback", sha, False, reason, run)
    ended = carry_out(
        wish,
        guard=guard(sha, acknowledged=acknowledged, history=history, acts=acts),
        find_release=find_release,
        make_plan=make_plan,
        acts=acts,
        ledger=ledger,
        stream=stream,
        canonical=canonical,
    )
    state = state_of(ledger, stream)
    if not state.held:  # it ran already: what the person wants is that it stays
        append_while(ledger, stream, hold_after(wish, canonical, state, acts))
    return ended


def guard(sha: GitSha, *, acknowledged: bool, history: History, acts: Acts) -> Guard:
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
        ensure_reversible(changed, acts.environment, acknowledged=acknowledged)

    return check
