"""What happens in an environment: deployments, rollbacks, holds, and what is asked of signatures there."""

from typing import ClassVar

from immutag.core.facts.words import Outcome, SignatureReason, SignatureStatus
from immutag.core.frozen import frozen
from immutag.core.values import Digest, EnvironmentName, GitSha, ImageRef, Repository, RepositoryType


@frozen()
class Deploying:
    """A deployment has begun, under a lease: no act of it happens after `until`.

    It restates what it found (`previous_*`, `held`, `quarantined`), so that a fold may begin here.
    `accepted`: the digest and those of its platform manifests, any of which a platform may report.
    `previous_failed`: the release before did not come up either; `good_*` is the last one that did.
    """

    type: ClassVar[str] = "deploying"
    sha: GitSha
    repository: Repository
    digest: Digest
    accepted: tuple[Digest, ...]
    repository_type: RepositoryType
    environment: EnvironmentName
    target: str
    command: str
    automatic: bool
    reason: str | None
    previous_sha: GitSha | None
    previous_image: ImageRef | None
    commits_ahead: int | None
    signature_status: SignatureStatus
    signature_reason: SignatureReason
    held: bool
    quarantined: tuple[GitSha, ...]
    holder: str
    until: str
    previous_failed: bool = False
    good_sha: GitSha | None = None
    good_image: ImageRef | None = None


@frozen()
class TakenOver:
    """A deployment whose holder is gone is being closed by somebody else, under a lease of their own."""

    type: ClassVar[str] = "taken_over"
    sha: GitSha
    repository: Repository
    digest: Digest
    environment: EnvironmentName
    holder: str
    until: str


@frozen()
class Healthy:
    """The deployment's digest was seen running and healthy (`ok`), or could not be observed."""

    type: ClassVar[str] = "healthy"
    sha: GitSha
    repository: Repository
    digest: Digest
    environment: EnvironmentName
    outcome: Outcome
    running_digest: Digest | None
    duration_ms: int


@frozen()
class RolledBack:
    """A rollback's digest was seen running and healthy (`ok`), or could not be observed."""

    type: ClassVar[str] = "rolled_back"
    sha: GitSha
    repository: Repository
    digest: Digest
    environment: EnvironmentName
    outcome: Outcome
    previous_sha: GitSha | None
    running_digest: Digest | None
    duration_ms: int


@frozen()
class Restored:
    """The new release did not become healthy; the previous one runs again."""

    type: ClassVar[str] = "restored"
    sha: GitSha
    repository: Repository
    digest: Digest
    environment: EnvironmentName
    restored_sha: GitSha
    restored_digest: Digest
    running_digest: Digest | None
    why: str
    duration_ms: int


@frozen()
class Failed:
    """The new release did not become healthy, and nothing could be restored."""

    type: ClassVar[str] = "failed"
    sha: GitSha
    repository: Repository
    digest: Digest
    environment: EnvironmentName
    running_digest: Digest | None
    why: str
    duration_ms: int


@frozen()
class Held:
    """Automatic deployments stay away until a person lifts this. `quarantined` was left by a rollback."""

    type: ClassVar[str] = "held"
    repository: Repository
    environment: EnvironmentName
    reason: str
    quarantined: GitSha | None


@frozen()
class ReleasedHold:
    """A person lifted the hold."""

    type: ClassVar[str] = "released_hold"
    repository: Repository
    environment: EnvironmentName
    reason: str


@frozen()
class Mandatory:
    """By these figures verification became mandatory in this environment, for good (DR-003).

    Of `deployed` distinct SHAs, `signed` had a signature that was looked at; of the `checks` of signed
    images, `failures` ended badly.
    """

    type: ClassVar[str] = "mandatory"
    repository: Repository
    environment: EnvironmentName
    deployed: int
    signed: int
    checks: int
    failures: int


@frozen()
class AllowedUnverified:
    """A person let an unverified digest through although verification is mandatory (break-glass)."""

    type: ClassVar[str] = "allowed_unverified"
    sha: GitSha
    repository: Repository
    digest: Digest
    environment: EnvironmentName
    signature_reason: SignatureReason
    reason: str


@frozen()
class Summarised:
    """A signed verification summary of a deployment or rollback: the bundle itself, and where it lies too.

    `manifest` is None where the credential cannot write to the registry.
    """

    type: ClassVar[str] = "summarised"
    sha: GitSha
    repository: Repository
    digest: Digest
    environment: EnvironmentName
    predicate_type: str
    signer: str
    bundle: str
    manifest: Digest | None
