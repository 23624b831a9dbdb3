"""Close a deployment whose holder is gone: look at what runs, then end it one way or the other (DR-014).

Before: an open deployment. After: exactly one closing fact for it. Killed in between: the same again.
"""

from immutag.core.deployment import EnvironmentState, Running, Unobservable
from immutag.core.errors import ConfigInvalid, DeployFailure, DigestMismatch, LedgerConflict
from immutag.core.facts import Deploying, Failed, Stream, TakenOver
from immutag.ledger import Ledger
from immutag.usecases.acts import Acts
from immutag.usecases.bring_up import bring_up, close, go_back
from immutag.usecases.lease import Lease, is_abandoned


def take_over(
    state: EnvironmentState, *, stream: Stream, acts: Acts, ledger: Ledger, run: str | None
) -> None:
    """Raises LedgerConflict while its holder may still be at work, or if somebody else was faster."""
    work, lease = state.open, state.lease
    assert work and lease  # noqa: S101 - asked for only when a deployment is open
    ensure_abandoned(work, *lease)
    ours = Lease.lasting(acts.environment.lease_s, run=run)
    taken = TakenOver(work.sha, work.repository, work.digest, work.environment, ours.holder, ours.until)
    ledger.append(stream, taken, after=state.version)
    acts.report.step(f"take over the interrupted {work.command} of {work.sha} in {work.environment}")
    observation = acts.observe(ours)
    if isinstance(observation, Unobservable):
        why = "interrupted, and the target cannot say what runs"
        failed = Failed(work.sha, work.repository, work.digest, work.environment, None, why, 0)
        close(ledger, stream, failed, ours)
    elif isinstance(observation, Running) and any(
        instance & frozenset(work.accepted) for instance in observation.instances
    ):
        try:
            bring_up(work, state=state, started=True, lease=ours, acts=acts, ledger=ledger, stream=stream)
        except (DeployFailure, DigestMismatch, ConfigInvalid) as error:
            acts.report.step(f"the interrupted release did not come up: {error}")
    else:
        go_back(work, "interrupted", state=state, lease=ours, acts=acts, ledger=ledger, stream=stream)


def ensure_abandoned(work: Deploying, holder: str, until: str) -> None:
    """Raises LedgerConflict while the holder may still be at work."""
    if is_abandoned(holder, until):
        return
    raise LedgerConflict(
        f"somebody else holds {work.environment}",
        expected="an environment that nobody is deploying to",
        found=f"{work.command} of {work.sha} by {holder}, until {until}",
        remedy="run the same command again when it has ended",
    )
