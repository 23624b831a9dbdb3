"""An environment: what runs, who is deploying, and whether automatic deployments may (DR-006, DR-014)."""

from dataclasses import dataclass

from immutag.core.values import Digest, EnvironmentName, GitSha, ImageRef


@dataclass(frozen=True, slots=True)
class Placement:
    """What is to run, and what to go back to."""

    image: ImageRef
    sha: GitSha
    environment: EnvironmentName
    previous: ImageRef | None
    previous_sha: GitSha | None


@dataclass(frozen=True, slots=True)
class Running:
    """What the platform says runs: for each instance, every digest it knows for that image."""

    instances: tuple[frozenset[Digest], ...]


@dataclass(frozen=True, slots=True)
class NothingRuns:
    """The platform says that nothing of this environment runs."""


@dataclass(frozen=True, slots=True)
class Unobservable:
    """The target has no way to say what runs."""


Observation = Running | NothingRuns | Unobservable


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """How a release shows that it works: a URL that answers 2xx, or a command that exits 0.

    `contains_sha`: the answer (a header or the body, or the command's output) must hold the full SHA.
    """

    url: str | None
    command: tuple[str, ...]
    timeout_s: float
    contains_sha: bool
