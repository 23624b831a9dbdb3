"""What a deployment or rollback would do, with every check done before anything is touched (DR-007)."""

from collections.abc import Callable
from typing import Literal, Protocol

from immutag.core.deployment import Deployed, Environment, EnvironmentState
from immutag.core.errors import DigestMismatch, MissingTag, PolicyViolation
from immutag.core.facts import Stream
from immutag.core.frozen import frozen
from immutag.core.policy import Enforcement, Repositories, ensure_repo_allowed, ensure_verified
from immutag.core.release import Release, fold
from immutag.core.report import Report
from immutag.core.values import Digest, GitSha, ImageRef, Repository, RepositoryType, ShaTag
from immutag.core.verification import Unverified, Verification, signature_of
from immutag.deploy import Target
from immutag.ledger import Ledger
from immutag.oci import Descriptor, Store
from immutag.oci.copy import digests
from immutag.usecases.origin import Contradicted, Origin, ensure_origin

Command = Literal["deploy", "rollback"]


@frozen()
class Wish:
    """What a person or CI asked for. `run`: the address of the CI run that asks, if any.

    `allow_unverified`: a person's word, for their `reason`, where verification is mandatory (break-glass).
    """

    command: Command
    sha: GitSha
    automatic: bool
    reason: str | None
    run: str | None
    allow_unverified: bool = False


class Distrusted(PolicyViolation):
    """Verification is mandatory and not met. `verification`: what was found, so that it can be recorded."""

    def __init__(self, refused: PolicyViolation, verification: Verification) -> None:
        super().__init__(
            refused.message, expected=refused.expected, found=refused.found, remedy=refused.remedy
        )
        self.verification = verification


class History(Protocol):
    """What the user's clone knows about two commits; `None` where it cannot tell."""

    def distance(self, old: GitSha, new: GitSha) -> tuple[int, int] | None: ...
    def changed_paths(self, old: GitSha, new: GitSha) -> list[str] | None: ...


@frozen()
class Plan:
    """A checked deployment. `accepted`: the recorded digest and those of its platform manifests.

    `allowed_for`: why a person lets it through although it is unverified and verification is mandatory.
    """

    command: Command
    environment: Environment
    tag: ShaTag
    repository_type: RepositoryType
    image: ImageRef
    accepted: frozenset[Digest]
    previous: Deployed | None
    distance: tuple[int, int] | None
    verification: Verification
    enforcement: Enforcement
    allowed_for: str | None
    origin: Origin
    in_registry: bool

    def as_document(self) -> dict[str, object]:
        """What `--dry-run` prints."""
        status, reason, _ = signature_of(self.verification)
        ahead, behind = self.distance or (None, None)
        return {
            "command": self.command,
            "environment": str(self.environment.name),
            "target": self.environment.target,
            "image_sha": str(self.tag.sha),
            "image": str(self.image),
            "tag": str(self.tag),
            "repository_type": self.repository_type.value,
            "previous_sha": str(self.previous.sha) if self.previous else None,
            "previous_image": str(self.previous.image) if self.previous else None,
            "commits_ahead": ahead,
            "commits_behind": behind,
            "signature_status": status.value,
            "signature_reason": reason.value,
            "verification": self.enforcement.value,
            "allowed_for": self.allowed_for,
            "provenance": None if self.origin is None else str(self.origin),
            "in_registry": self.in_registry,
        }


def find_release(
    sha: GitSha, environment: Environment, *, repositories: Repositories, ledger: Ledger
) -> tuple[Release, RepositoryType]:
    """The release of this SHA that the environment may run: canonical before staging.

    Raises MissingTag if the ledger knows none, PolicyViolation if only a forbidden one exists.
    """
    for repository in (repositories.canonical, repositories.staging):
        tag = ShaTag(repository, sha)
        release = fold(tag, ledger.stream(Stream.release(repository, sha)))
        if release.tagged:
            return release, ensure_repo_allowed(repository, environment, None, of=repositories)
    raise MissingTag(
        "the ledger knows no release of this SHA",
        expected=f"a release of {sha} in {repositories.canonical}",
        found="no such release",
        remedy=f"immutag release --sha {sha}; or immutag adopt {sha}, if other tools wrote its tag",
    )


def plan(
    wish: Wish,
    release: Release,
    repository_type: RepositoryType,
    state: EnvironmentState,
    *,
    enforcement: Enforcement,
    environment: Environment,
    history: History,
    registry: Callable[[Repository], Store],
    target: Target,
    verify: Callable[[Repository, Digest], Verification],
    find_origin: Callable[[ShaTag, Digest], Origin],
    report: Report,
) -> Plan:
    """Compare registry and ledger, look at the signature, and put the plan together. `enforcement` is what
    is in force.

    Raises MissingTag, DigestMismatch, RegistryAuth, RegistryUnavailable, SoftVerifyToolError,
    PolicyViolation. A rollback may go on without the registry's copy if the engine holds that digest.
    """
    claim = release.claim
    assert claim  # noqa: S101 - a tagged release has a claim
    image = ImageRef(claim.repository, claim.digest)
    manifest = Descriptor(claim.media_type, claim.digest, claim.size_bytes)
    store = registry(claim.repository)
    in_registry = _in_registry(
        wish.command, release, image, store=store, target=target, environment=environment, report=report
    )
    verification = verify(claim.repository, claim.digest)
    origin = find_origin(release.tag, claim.digest)
    if origin:
        report.step(f"provenance of {image}: {origin}")
    allowed_for = _allowed_for(wish, verification, origin, enforcement)
    if allowed_for is None:
        _ensure_trusted(verification, origin, image, enforcement, sha=release.tag.sha)
    previous = state.current
    return Plan(
        command=wish.command,
        environment=environment,
        tag=release.tag,
        repository_type=repository_type,
        image=image,
        accepted=digests(store, manifest) if in_registry else frozenset({claim.digest}),
        previous=previous,
        distance=history.distance(previous.sha, release.tag.sha) if previous else None,
        verification=verification,
        enforcement=enforcement,
        allowed_for=allowed_for,
        origin=origin,
        in_registry=in_registry,
    )


def _ensure_trusted(
    verification: Verification, origin: Origin, image: ImageRef, enforcement: Enforcement, *, sha: GitSha
) -> None:
    """Raises Distrusted where verification is mandatory and somebody's word is missing or wrong."""
    try:
        ensure_verified(
            verification,
            enforcement,
            remedy=f"immutag verify {sha} --explain, and immutag sign {sha}; "
            'or, for this once, add --allow-unverified --reason "…"',
        )
        ensure_origin(origin, image, enforcement)
    except PolicyViolation as refused:
        raise Distrusted(refused, verification) from None


def _allowed_for(
    wish: Wish, verification: Verification, origin: Origin, enforcement: Enforcement
) -> str | None:
    """The reason of a break-glass that is needed: without one there is none, and nothing is broken where
    nothing would be refused."""
    doubted = isinstance(verification, Unverified) or isinstance(origin, Contradicted)
    refused = doubted and enforcement is not Enforcement.SOFT
    return wish.reason or None if refused and wish.allow_unverified else None


def _in_registry(
    command: Command,
    release: Release,
    image: ImageRef,
    *,
    store: Store,
    target: Target,
    environment: Environment,
    report: Report,
) -> bool:
    """Whether the registry still has exactly what the ledger recorded (law 5)."""
    found = store.resolve(release.tag.sha)
    if found is None:
        if command == "rollback" and target.holds(image, timeout_s=environment.timeout_s):
            report.step(f"{release.tag} is gone from the registry; the engine still holds {image.digest}")
            return False
        raise MissingTag(
            "the SHA tag is not in the registry",
            expected=f"{release.tag} → {image.digest}",
            found="404 for the tag",
            remedy=f"immutag release --sha {release.tag.sha}, which restores it from the same content",
        )
    if found.digest != image.digest:
        raise DigestMismatch(
            "the registry's tag is not what the ledger recorded",
            expected=str(image.digest),
            found=str(found.digest),
            remedy=f"immutag show {release.tag.sha}, and find out who moved the tag",
        )
    return True
