"""Adopt a SHA tag that nobody claimed: look at all of it, then claim what it names (law 2).

Before: the tag is in the registry, written by other tools. After: the ledger has its claim, and deploys it
like any release. Nothing is written to the registry. Killed in between: the next run goes on from there.
"""

from collections.abc import Callable, Iterator

from immutag.core.annotations import REVISION
from immutag.core.errors import (
    DigestMismatch,
    LedgerConflict,
    MissingTag,
    PolicyViolation,
    RegistryUnavailable,
)
from immutag.core.facts import Adopted, Claimed, Fact, Requested, SignatureChecked, Tagged
from immutag.core.policy import Enforcement, ensure_verified
from immutag.core.release import Release, fold
from immutag.core.report import Report
from immutag.core.values import Digest, GitSha, ImageRef, shown
from immutag.core.verification import Verification, signature_of
from immutag.ledger import Ledger
from immutag.oci import Descriptor
from immutag.oci.annotate import image_says
from immutag.oci.content import read
from immutag.oci.fanout import for_each
from immutag.oci.graph import walk
from immutag.oci.registry import Registry
from immutag.usecases.release import Order

_LOOKS = 20
_WORKERS = 8


def adopt(
    order: Order,
    *,
    registry: Registry,
    ledger: Ledger,
    verify: Callable[[Digest], Verification],
    enforcement: Enforcement,
    report: Report,
) -> Release:
    """Claim what the SHA tag names, as a release of this commit.

    Raises MissingTag if there is no tag or some of its content is gone, PolicyViolation if the image says
    that it is another commit or is unverified where that is mandatory, DigestMismatch if the tag was claimed
    for other content, SoftVerifyToolError.
    """
    found = _tagged(order, registry)
    _ensure_unclaimed(order, found, fold(order.tag, ledger.stream(order.stream)))
    revision = _look_at_all(order, found, registry, report)
    finding = verify(found.digest)
    image = ImageRef(order.tag.repository, found.digest)
    ensure_verified(finding, enforcement, remedy=f"immutag verify {image} --explain; cosign sign {image}")
    for _ in range(_LOOKS):
        release = fold(order.tag, ledger.stream(order.stream))
        _ensure_unclaimed(order, found, release)
        if _tagged(order, registry) != found:
            raise _moved(order, found)
        fact = next(_missing(release, order, found, revision, finding), None)
        if fact is None:
            return release
        try:
            ledger.append(order.stream, fact, after=release.version)
        except LedgerConflict:
            continue
    raise LedgerConflict(
        "the release's stream never came to rest",
        expected="an end after a few looks",
        found=f"{_LOOKS} changes by others",
        remedy=f"immutag adopt {order.tag.sha}, when the others have ended",
    )


def _missing(
    release: Release, order: Order, found: Descriptor, revision: GitSha | None, finding: Verification
) -> Iterator[Fact]:
    """The facts that the ledger does not have yet, in their order."""
    sha, repository = order.tag.sha, order.tag.repository
    if not release.requested:
        yield Requested(sha, repository, order.repository_type, order.branch, order.source)
    if release.claim is None and not release.adopted:
        yield Adopted(sha, repository, found.digest, revision)
    if release.claim is None:
        yield Claimed(sha, repository, found.digest, found.media_type, found.size_bytes)
    if not release.checked:
        yield SignatureChecked(sha, repository, found.digest, *signature_of(finding))
    if release.tagged is None:
        yield Tagged(sha, repository, found.digest, order.short_tag, order.write_once)


def _tagged(order: Order, registry: Registry) -> Descriptor:
    found = registry.resolve(order.tag.sha)
    if found is None:
        raise MissingTag(
            "there is no such tag to adopt",
            expected=str(order.tag),
            found="404 for the tag",
            remedy=f"immutag release --sha {order.tag.sha}",
        )
    return found


def _look_at_all(order: Order, root: Descriptor, registry: Registry, report: Report) -> GitSha | None:
    """Every manifest is read and hashed, every blob asked for; gives the commit that the image names."""
    report.step(f"look at all of {order.tag.repository}@{root.digest}")
    graph = walk(root, lambda content: read(registry, content))

    def ask(blob: Descriptor, _: object) -> None:
        if not registry.exists(blob):
            raise MissingTag(
                "the image is not whole",
                expected=f"the content {blob.digest}",
                found="404",
                remedy="push the image again as it was, or release the commit anew",
            )

    for_each(ask, graph.blobs.values(), workers=_WORKERS)
    named = image_says(registry, root, wrong=RegistryUnavailable).get(REVISION, frozenset())
    if others := named - {str(order.tag.sha)}:
        raise PolicyViolation(
            "the image says that it was made from another commit",
            expected=f"{REVISION}={order.tag.sha}",
            found=f"{REVISION}={shown(min(others))}",
            remedy="it cannot be adopted under this SHA; release the commit",
        )
    return order.tag.sha if named else None


def _ensure_unclaimed(order: Order, found: Descriptor, release: Release) -> None:
    """Or claimed for the same content. Raises DigestMismatch."""
    if release.claim and release.claim.digest != found.digest:
        raise DigestMismatch(
            "the SHA tag holds other content than was claimed",
            expected=str(release.claim.digest),
            found=str(found.digest),
            remedy=f"immutag show {order.tag.sha}, and find out who moved the tag; it is never overwritten",
        )


def _moved(order: Order, found: Descriptor) -> DigestMismatch:
    return DigestMismatch(
        "the tag was moved while it was looked at",
        expected=str(found.digest),
        found="another digest",
        remedy=f"find out who writes {order.tag}, then adopt it again",
    )
