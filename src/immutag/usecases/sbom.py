"""Read a release's SBOM back: by the digest that the ledger recorded, and only if it is of this release."""

from collections.abc import Callable, Sequence

from immutag.core.errors import DigestMismatch, ImmutagError, MissingTag
from immutag.core.facts import Described, Evidence, Stream
from immutag.core.frozen import frozen
from immutag.core.linkage import Document
from immutag.core.packages import Difference, difference
from immutag.core.policy import Repositories
from immutag.core.release import fold
from immutag.core.sbom import NAMES, packages, unlinked
from immutag.core.values import GitSha, ImageRef, Repository, ShaTag
from immutag.ledger import Ledger
from immutag.oci import Descriptor
from immutag.oci.manifest import Manifest, parse
from immutag.oci.registry import Registry
from immutag.trust.evidence.sbom import LIMIT_BYTES, read_document


@frozen()
class Sbom:
    """A document that was read back, and the image that it describes."""

    sha: GitSha
    image: ImageRef
    evidence: Evidence
    document: Document

    def as_document(self) -> dict[str, object]:
        """What `sbom show --json` prints."""
        return {
            "image_sha": str(self.sha),
            "image": str(self.image),
            "format": NAMES[self.evidence],
            "packages": [each.as_document() for each in packages(self.document)],
        }


@frozen()
class Sboms:
    """The SBOMs of this service's releases: found in the ledger, read from the registry."""

    repositories: Repositories
    ledger: Ledger
    registry: Callable[[Repository], Registry]

    def read(self, sha: GitSha, wanted: Evidence | None) -> Sbom:
        """The newest one in the wanted format, or in any.

        Raises MissingTag if there is none or the registry lost it, DigestMismatch for one of another release.
        """
        return self._read(sha, wanted, self._recorded(sha))

    def difference(self, old: GitSha, new: GitSha) -> Difference:
        """What the new release has instead, by SBOMs of one format where both have it. Raises as `read`."""
        was, now = self._recorded(old), self._recorded(new)
        shared = {each.evidence for each in was} & {each.evidence for each in now}
        wanted = next((each for each in NAMES if each in shared), None)
        before, after = self._read(old, wanted, was), self._read(new, wanted, now)
        return difference(packages(before.document), packages(after.document))

    def preview(self, old: GitSha | None, new: GitSha) -> dict[str, object]:
        """The same in a rollback's preview, which nothing that goes wrong here may stop: nothing is said of
        what is not known."""
        try:
            return self.difference(old, new).as_preview() if old else {}
        except ImmutagError:
            return {}

    def _recorded(self, sha: GitSha) -> list[Described]:
        """Those of the canonical release's claimed digest, or else of the staging one's, oldest first."""
        for repository in (self.repositories.canonical, self.repositories.staging):
            entries = self.ledger.stream(Stream.release(repository, sha))
            claim = fold(ShaTag(repository, sha), entries).claim
            if claim:
                facts = [entry.fact for entry in entries if isinstance(entry.fact, Described)]
                return [each for each in facts if each.digest == claim.digest]
        return []

    def _read(self, sha: GitSha, wanted: Evidence | None, recorded: Sequence[Described]) -> Sbom:
        described = next((each for each in reversed(recorded) if wanted in (None, each.evidence)), None)
        if described is None:
            raise _missing(sha, wanted)
        content = _content(described, self.registry(described.repository))
        document = read_document(content, described.evidence)
        if wrong := unlinked(document, sha, described.digest):
            raise _not_linked(described, wrong)
        image = ImageRef(described.repository, described.digest)
        return Sbom(sha, image, described.evidence, document)


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


def _not_linked(described: Described, wrong: Sequence[str]) -> DigestMismatch:
    return DigestMismatch(
        "the SBOM is not linked to this release",
        expected=f"an SBOM of {described.sha} and {described.digest}",
        found="; ".join(wrong),
        remedy=f"oras discover {described.repository}@{described.digest}, and find out who attached it",
    )


def _gone(described: Described) -> MissingTag:
    return MissingTag(
        "the registry lost the SBOM",
        expected=f"{described.repository}@{described.manifest}",
        found="404 for the digest",
        remedy=f"immutag show {described.sha}",
    )
