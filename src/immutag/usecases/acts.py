"""The hands of a deployment: what it does to a target, each act bounded by the lease (DR-014)."""

import time
from collections.abc import Callable

from immutag.core.deployment import (
    Environment,
    HealthCheck,
    Observation,
    Placement,
    Running,
    Unobservable,
    runs,
    seen,
)
from immutag.core.errors import DeployFailure, DigestMismatch, ImmutagError
from immutag.core.frozen import frozen
from immutag.core.report import Report
from immutag.core.values import Digest, GitSha
from immutag.deploy import Target
from immutag.usecases.lease import Lease

_CONFIRM_S = 3.0
_PAUSE_S = 0.2

WaitHealthy = Callable[[HealthCheck, GitSha, float], None]
"""Wait until a check holds for a SHA. Raises DeployFailure when the deadline (monotonic) has passed."""


@frozen()
class Acts:
    """A target, and how its health is seen. Acts raise DeployFailure, DigestMismatch, LedgerConflict."""

    environment: Environment
    target: Target
    wait_healthy: WaitHealthy
    report: Report

    def observe(self, lease: Lease) -> Observation:
        return self.target.observe(timeout_s=lease.bound(self.environment.timeout_s))

    def bring(self, placement: Placement, accepted: frozenset[Digest], lease: Lease) -> Digest | None:
        """Start the release, see it healthy, end the one before, and see what runs."""
        self.report.step(f"place {placement.image} in {self.environment.name}")
        self.target.place(placement, timeout_s=lease.bound(self.environment.timeout_s))
        return self.settle(placement, accepted, lease)

    def settle(self, placement: Placement, accepted: frozenset[Digest], lease: Lease) -> Digest | None:
        """From the moment that the release was started on."""
        self._see_healthy(placement.sha, lease)
        self.target.keep(placement, timeout_s=lease.bound(self.environment.timeout_s))
        return self._see_running(accepted, lease)

    def back(self, placement: Placement, accepted: frozenset[Digest], lease: Lease) -> Digest | None:
        """Run `placement.previous` again, see it healthy, and see what runs."""
        self.report.step(f"restore {placement.previous} in {self.environment.name}")
        self.target.restore(placement, timeout_s=lease.bound(self.environment.timeout_s))
        if placement.previous_sha:
            self._see_healthy(placement.previous_sha, lease)
        return self._see_running(accepted, lease)

    def clear(self, placement: Placement, lease: Lease) -> None:
        """Take down what did not come up, where there is nothing to go back to; for tidiness only."""
        try:
            self.target.restore(placement, timeout_s=lease.bound(self.environment.timeout_s))
        except ImmutagError as error:
            self.report.warning(f"the failed release could not be taken down: {error}")

    def _see_healthy(self, sha: GitSha, lease: Lease) -> None:
        check = self.environment.health
        if check:
            self.report.step(f"wait until {sha} is healthy in {self.environment.name}")
            self.wait_healthy(check, sha, time.monotonic() + lease.bound(check.timeout_s))

    def _see_running(self, accepted: frozenset[Digest], lease: Lease) -> Digest | None:
        """The digest that every instance runs, as the platform says; None if it cannot say.

        A platform may need a moment until it says what is true; it gets that moment, and no more.
        """
        deadline = time.monotonic() + lease.bound(_CONFIRM_S)
        while True:
            observation = self.observe(lease)
            if isinstance(observation, Unobservable):
                return None
            digest = runs(observation, accepted)
            if digest:
                return digest
            if time.monotonic() >= deadline:
                kind = DigestMismatch if isinstance(observation, Running) else DeployFailure
                raise kind(
                    f"{self.environment.name} does not run what was deployed",
                    expected=" or ".join(map(str, sorted(accepted))),
                    found=seen(observation),
                    remedy="look at the target",
                )
            time.sleep(_PAUSE_S)
