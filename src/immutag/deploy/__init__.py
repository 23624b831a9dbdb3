"""Deployment targets: they run `repository@digest` and say what runs, and decide nothing."""

from typing import Protocol

from immutag.core.deployment import Observation, Placement
from immutag.core.values import ImageRef


class Target(Protocol):
    """Something that runs an image. Every act is bounded in time and may be repeated after a crash.

    `place → (health) → keep`, or `place → restore`. Acts raise DeployFailure when the platform refuses.
    """

    name: str

    def observe(self, *, timeout_s: float) -> Observation:
        """What runs now, as the platform itself says: digests, never tags or names (DR-007)."""
        ...

    def holds(self, image: ImageRef, *, timeout_s: float) -> bool:
        """Whether the platform can run this digest without the registry."""
        ...

    def prepare(self, image: ImageRef, *, timeout_s: float) -> None:
        """Bring the content near, by digest, before anything that runs is touched."""
        ...

    def place(self, placement: Placement, *, timeout_s: float) -> None:
        """Start the new release, beside the old one where that is possible."""
        ...

    def keep(self, placement: Placement, *, timeout_s: float) -> None:
        """The new release is healthy: end what was there before."""
        ...

    def restore(self, placement: Placement, *, timeout_s: float) -> None:
        """The new release is not healthy: run `placement.previous` again, and only that."""
        ...
