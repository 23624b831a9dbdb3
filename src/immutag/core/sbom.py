"""An SBOM in either format: what it lists, and whether it is of a release (DR-009). Pure."""

from collections.abc import Mapping
from typing import Any

from immutag.core import cyclonedx, spdx
from immutag.core.facts import Evidence
from immutag.core.linkage import Document, Link
from immutag.core.packages import Package
from immutag.core.statement import CYCLONEDX, SPDX
from immutag.core.values import Digest, GitSha

NAMES = {Evidence.CYCLONEDX: "cyclonedx", Evidence.SPDX: "spdx"}
MEDIA_TYPES = {
    Evidence.CYCLONEDX: "application/vnd.cyclonedx+json",
    Evidence.SPDX: "application/spdx+json",
}
PREDICATES = {Evidence.CYCLONEDX: CYCLONEDX, Evidence.SPDX: SPDX}
_ENDINGS = {Evidence.CYCLONEDX: "cdx.json", Evidence.SPDX: "spdx.json"}


def packages(document: Mapping[str, Any]) -> tuple[Package, ...]:
    """Each package once, in their order."""
    found = cyclonedx.packages(document) if is_cyclonedx(document) else spdx.packages(document)
    return tuple(sorted(set(found)))


def link(document: Mapping[str, Any], to: Link) -> Document:
    """The same packages, said of this release. Raises BuildFailure for a document about another digest."""
    return cyclonedx.link(document, to) if is_cyclonedx(document) else spdx.link(document, to)


def unlinked(document: Mapping[str, Any], sha: GitSha, digest: Digest) -> tuple[str, ...]:
    """What keeps the document from being this release's, in words; nothing if it is."""
    if is_cyclonedx(document):
        return cyclonedx.unlinked(document, sha, digest)
    return spdx.unlinked(document, sha, digest)


def join(documents: Mapping[str, Mapping[str, Any]]) -> Document:
    """One document of those of each platform, which are of one format. Not empty."""
    first = next(iter(documents.values()))
    return cyclonedx.join(documents) if is_cyclonedx(first) else spdx.join(documents)


def is_cyclonedx(document: Mapping[str, Any]) -> bool:
    """By the field that only CycloneDX has."""
    return "bomFormat" in document


def artifact_name(sha: GitSha) -> str:
    """The artifact of a release's SBOMs: a folder, and what a workflow calls it."""
    return f"sbom-{sha}"


def file_name(evidence: Evidence, sha: GitSha) -> str:
    """The document's file in that folder, and its title in the registry."""
    return f"{artifact_name(sha)}.{_ENDINGS[evidence]}"
