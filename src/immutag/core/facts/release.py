"""What happens to a release, in the order in which it does: `requested → … → tagged`."""

from typing import ClassVar

from immutag.core.facts.words import Evidence, SignatureReason, SignatureStatus, WriteOnce
from immutag.core.frozen import frozen
from immutag.core.values import Digest, GitSha, Repository, RepositoryType


@frozen()
class Requested:
    """A release of this commit was asked for."""

    type: ClassVar[str] = "requested"
    sha: GitSha
    repository: Repository
    repository_type: RepositoryType
    branch: str | None
    source: str | None


@frozen()
class Built:
    """A clean build, or a given layout, has this root manifest; its bytes were hashed by us."""

    type: ClassVar[str] = "built"
    sha: GitSha
    repository: Repository
    digest: Digest
    media_type: str
    size_bytes: int
    platform: str
    builder: str
    duration_ms: int


@frozen()
class Pushed:
    """All content below this digest is in the registry, and the root was read back by digest."""

    type: ClassVar[str] = "pushed"
    sha: GitSha
    repository: Repository
    digest: Digest
    duration_ms: int


@frozen()
class Claimed:
    """The one digest that this SHA will ever have (law 2)."""

    type: ClassVar[str] = "claimed"
    sha: GitSha
    repository: Repository
    digest: Digest
    media_type: str
    size_bytes: int


@frozen()
class Signed:
    """A signature of ours was attached to the claimed digest and read back, or found there already.

    `manifests`: each form's manifest (the bundle's referrer, cosign's legacy one).
    """

    type: ClassVar[str] = "signed"
    sha: GitSha
    repository: Repository
    digest: Digest
    signer: str
    manifests: tuple[Digest, ...]


@frozen()
class Described:
    """An SBOM of the claimed digest was attached as a referrer and read back (DR-009)."""

    type: ClassVar[str] = "described"
    sha: GitSha
    repository: Repository
    digest: Digest
    evidence: Evidence
    document: Digest
    manifest: Digest


@frozen()
class Attested:
    """A signed in-toto statement about the digest was attached and read back."""

    type: ClassVar[str] = "attested"
    sha: GitSha
    repository: Repository
    digest: Digest
    predicate_type: str
    signer: str
    manifest: Digest


@frozen()
class EvidenceFailed:
    """Evidence could not be made or attached. The release goes on (law 7); the next run tries again."""

    type: ClassVar[str] = "evidence_failed"
    sha: GitSha
    repository: Repository
    digest: Digest
    evidence: Evidence
    code: str
    message: str
    found: str


@frozen()
class Adopted:
    """A SHA tag that was there before the ledger was looked at whole: all of its content is in the registry.

    `revision`: the commit that the image names itself, if it names one.
    """

    type: ClassVar[str] = "adopted"
    sha: GitSha
    repository: Repository
    digest: Digest
    revision: GitSha | None


@frozen()
class SignatureChecked:
    """What the three places of signatures held for this digest."""

    type: ClassVar[str] = "signature_checked"
    sha: GitSha
    repository: Repository
    digest: Digest
    status: SignatureStatus
    reason: SignatureReason
    signer: str | None


@frozen()
class Tagged:
    """The SHA tag names the claimed digest; read back by tag and by digest. This is a release."""

    type: ClassVar[str] = "tagged"
    sha: GitSha
    repository: Repository
    digest: Digest
    short_tag: bool
    write_once: WriteOnce
