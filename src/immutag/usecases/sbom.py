"""Read a release's SBOM back: by the digest that the ledger recorded, and only if it is of this release."""

from collections.abc import Callable, Sequence

from immutag.core.errors import DigestMismatch, ImmutagError, MissingTag
from immutag.core.facts import Described, Evidence, Stream
from immutag.core.frozen import frozen
from immutag.core.linkage import Document
from immutag.core.packages import Difference, Package, difference
from immutag.core.policy import Repositories
from immutag.core.release import fold
from immutag.core.sbom import NAMES, packages, unlinked
from immutag.core.values import GitSha, ImageRef, Repository, ShaTag
from immutag.ledger import Ledger
from immutag.oci import Descriptor
from immutag.oci.manifest import Manifest, parse
from immutag.oci.registry import Registry
from immutag.trust.sbom import LIMIT_BYTES, read_document


@frozen()
class Sbom:
    """A document that was read back: `content` are its bytes, `image` is what it describes."""

    sha: GitSha
    image: ImageRef
    evidence: Evidence
    document: Document
    content: bytes

    def as_document(self) -> dict[str, object]:
        """What `sbom show --json` prints."""
        return {
            "image_sha": str(self.sha),
            "image": str(self.image),
            "format": NAMES[self.evidence],
            "packages": [_package(each) for each in packages(self.document)],
        }


def read(sha: GitSha, wanted: Evidence | None, *, found: Sequence[Described], registry: Registry) -> Sbom:
    """The newest of what is recorded, in the wanted format, or in any.

    Raises MissingTag if there is none, or the registry lost it; DigestMismatch for one of another release.
    """
    described = next((each for each in reversed(found) if wanted in (None, each.evidence)), None)
    if described is None:
        raise _missing(sha, wanted)
    content = _content(described, registry)
    document = read_document(content, described.evidence)
    if wrong := unlinked(document, sha, described.digest):
        raise DigestMismatch(
            "the SBOM is not linked to this release",
            expected=f"an SBOM of {sha} and {described.digest}",
            found="; ".join(wrong),
            remedy=f"oras discover {described.repository}@{described.digest}, and find out who attached it",
        )
    image = ImageRef(described.repository, described.digest)
    return Sbom(sha, image, described.evidence, document, content)


def recorded(sha: GitSha, *, repositories: Repositories, ledger: Ledger) -> list[Described]:
    """The SBOMs of the canonical release's claimed digest, or else of the staging one's, oldest first."""
    for repository in (repositories.canonical, repositories.staging):
        entries = ledger.stream(Stream.release(repository, sha))
        claim = fold(ShaTag(repository, sha), entries).claim
        if claim:
            facts = [entry.fact for entry in entries if isinstance(entry.fact, Described)]
            return [each for each in facts if each.digest == claim.digest]
    return []


def changes(
    old: GitSha,
    new: GitSha,
    *,
    recorded: Callable[[GitSha], Sequence[Described]],
    registry: Callable[[Repository], Registry],
) -> Difference:
    """What another release has instead, by SBOMs of one format where both have it. Raises as `read`."""
    facts = {sha: recorded(sha) for sha in (old, new)}
    shared = {each.evidence for each in facts[old]} & {each.evidence for each in facts[new]}
    wanted = next((each for each in NAMES if each in shared), None)
    was, now = (
        read(sha, wanted, found=facts[sha], registry=registry(facts[sha][-1].repository))
        if facts[sha]
        else None
        for sha in (old, new)
    )
    if was is None or now is None:
        raise _missing(old if was is None else new, None)
    return difference(packages(was.document), packages(now.document))


def changes_if_known(
    old: GitSha,
    new: GitSha,
    *,
    recorded: Callable[[GitSha], Sequence[Described]],
    registry: Callable[[Repository], Registry],
) -> Difference | None:
    """The same for a preview, which nothing that goes wrong here may stop."""
    try:
        return changes(old, new, recorded=recorded, registry=registry)
    except ImmutagError:
        return None


def difference_document(found: Difference) -> dict[str, object]:
    """What `sbom diff --json` prints."""
    return {
        "added": [_package(each) for each in found.added],
        "removed": [_package(each) for each in found.removed],
        "changed": [
            {"name": each.name, "old": each.old, "new": each.new, "purl": each.purl} for each in found.changed
        ],
    }


def _package(package: Package) -> dict[str, str]:
    return {"name": package.name, "version": package.version, "purl": package.purl}


def _content(described: Described, registry: Registry) -> bytes:
    """The document behind the recorded manifest, each step by digest."""
    found = registry.manifest_named(described.manifest)
    if found is None:
        raise _gone(described)
    manifest = parse(found[1], found[0].media_type)
    layers: Sequence[Descriptor] = manifest.layers if isinstance(manifest, Manifest) else ()
    layer = next((each for each in layers if each.digest == described.document), None)
    if manifest.subject is None or manifest.subject.digest != described.digest or layer is None:
        raise DigestMismatch(
            "the recorded manifest does not attach the recorded SBOM",
            expected=f"{described.document}, attached to {described.digest}",
            found=str(manifest.subject.digest if manifest.subject else "no subject"),
            remedy="immutag ledger verify",
        )
    return registry.small_blob(layer, limit_bytes=LIMIT_BYTES)


def _missing(sha: GitSha, wanted: Evidence | None) -> MissingTag:
    return MissingTag(
        f"{sha} has no SBOM",
        expected=f"one in the ledger{f', as {NAMES[wanted]}' if wanted else ''}",
        found="none",
        remedy=f"set [sbom] enabled = true, then immutag release --sha {sha}",
    )


def _gone(described: Described) -> MissingTag:
    return MissingTag(
        "the registry lost the SBOM",
        expected=f"{described.repository}@{described.manifest}",
        found="404 for the digest",
        remedy=f"immutag show {described.sha}",
    )
