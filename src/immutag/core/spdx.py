"""SPDX 2.2 and 2.3 in JSON: its packages, and its link to a release (DR-009). Pure.

A field of another type than the standard says is as good as absent.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from immutag.core.annotations import REVISION
from immutag.core.linkage import Document, Link, mapping, mappings, refuse_another, text
from immutag.core.packages import Package
from immutag.core.values import Digest, GitSha

_DOCUMENT, _IMAGE = "SPDXRef-DOCUMENT", "SPDXRef-Image"
_ALGORITHMS = {"sha256": "SHA256", "sha512": "SHA512"}
_TOOL = "Tool: immutag"


def packages(document: Mapping[str, Any]) -> Iterator[Package]:
    """Packages, but for the one that the document describes, and the images of its platforms."""
    described = _described(document)
    subject = described[0] if len(described) == 1 else None
    for package in mappings(document.get("packages")):
        name = text(package.get("name"))
        if name and package is not subject and package.get("primaryPackagePurpose") != "CONTAINER":
            yield Package(name, text(package.get("versionInfo")), _purl(package))


def link(document: Mapping[str, Any], to: Link) -> Document:
    """The document, said of this release. Its time and namespace follow from the release."""
    found = _with_one_subject(document)
    (subject,) = _described(found)
    algorithm = _ALGORITHMS[to.image.digest.algorithm]
    checksums = mappings(subject.get("checksums"))
    refuse_another(
        [each.get("checksumValue") for each in checksums if each.get("algorithm") == algorithm], to
    )
    linked = _subject(subject, algorithm, to)
    return {
        **found,
        "name": f"{to.image.repository}:{to.sha}",
        "documentNamespace": f"https://{to.image.repository}/sbom-{to.sha}/{to.image.digest.hex}",
        "creationInfo": mapping(found.get("creationInfo")) | {"created": to.time},
        "packages": [linked if each is subject else each for each in mappings(found.get("packages"))],
    }


def unlinked(document: Mapping[str, Any], sha: GitSha, digest: Digest) -> tuple[str, ...]:
    """What keeps the document from being this release's, in words; nothing if it is."""
    described = _described(document)
    if len(described) != 1:
        return (f"{len(described)} packages are described instead of one",)
    checksum = {"algorithm": _ALGORITHMS[digest.algorithm], "checksumValue": digest.hex}
    checks = {
        f"documentNamespace does not name sbom-{sha}": (
            f"sbom-{sha}" in text(document.get("documentNamespace")).split("/")
        ),
        f"the described package's versionInfo is not {sha}": described[0].get("versionInfo") == str(sha),
        f"the described package's checksums have no {digest}": (
            checksum in mappings(described[0].get("checksums"))
        ),
    }
    return tuple(words for words, holds in checks.items() if not holds)


def join(documents: Mapping[str, Mapping[str, Any]]) -> Document:
    """One document of those of each platform: each describes its image, and the joint one all of these."""
    first = next(iter(documents.values()))
    renamed = [_renamed(document, name) for name, document in documents.items()]
    licenses = {
        text(each.get("licenseId")): each
        for document in documents.values()
        for each in mappings(document.get("hasExtractedLicensingInfos"))
    }
    names = ("spdxVersion", "dataLicense", "SPDXID", "creationInfo")
    return {
        **{name: first[name] for name in names if name in first},
        **{
            name: [each for document in renamed for each in document[name]]
            for name in ("packages", "files", "relationships")
        },
        **({"hasExtractedLicensingInfos": list(licenses.values())} if licenses else {}),
    }


def _described(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The packages that the document says it is about (SPDX 2.3, clause 11; `documentDescribes` before)."""
    named = document.get("documentDescribes")
    identifiers = {each for each in named if isinstance(each, str)} if isinstance(named, list) else set()
    identifiers |= {
        text(each.get("relatedSpdxElement"))
        for each in mappings(document.get("relationships"))
        if _describes(each)
    }
    return [each for each in mappings(document.get("packages")) if text(each.get("SPDXID")) in identifiers]


def _describes(relationship: Mapping[str, Any]) -> bool:
    kind, subject = relationship.get("relationshipType"), relationship.get("spdxElementId")
    return kind == "DESCRIBES" and subject == _DOCUMENT


def _with_one_subject(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """A document about one image. What it described itself, if not one package, is contained in the image."""
    described = _described(document)
    if len(described) == 1:
        return document
    taken = {text(each.get("SPDXID")) for each in mappings(document.get("packages"))}
    identifier = next(
        name for name in [_IMAGE, *(f"{_IMAGE}-{n}" for n in range(len(taken)))] if name not in taken
    )
    image = {
        "SPDXID": identifier,
        "name": _IMAGE,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": False,
        "primaryPackagePurpose": "CONTAINER",
    }
    relationships = [
        *(each for each in mappings(document.get("relationships")) if not _describes(each)),
        _relationship(_DOCUMENT, "DESCRIBES", identifier),
        *(_relationship(identifier, "CONTAINS", text(each.get("SPDXID"))) for each in described),
    ]
    others = {name: value for name, value in document.items() if name != "documentDescribes"}
    return {
        **others,
        "packages": [*mappings(document.get("packages")), image],
        "relationships": relationships,
    }


def _subject(subject: Mapping[str, Any], algorithm: str, to: Link) -> Document:
    references = [
        each
        for each in mappings(subject.get("externalRefs"))
        if not text(each.get("referenceLocator")).startswith("pkg:oci/")
    ]
    notes = [each for each in mappings(subject.get("annotations")) if each.get("annotator") != _TOOL]
    return {
        **subject,
        "name": str(to.image.repository),
        "versionInfo": str(to.sha),
        "checksums": [{"algorithm": algorithm, "checksumValue": to.image.digest.hex}],
        "externalRefs": [
            *references,
            {"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": to.purl},
        ],
        "annotations": [
            *notes,
            {
                "annotationDate": to.time,
                "annotationType": "OTHER",
                "annotator": _TOOL,
                "comment": f"{REVISION}={to.sha}",
            },
        ],
        **({"sourceInfo": f"built from commit {to.sha} of {to.source}"} if to.source else {}),
    }


def _renamed(document: Mapping[str, Any], platform: str) -> Mapping[str, list[Document]]:
    """The same package may be in several platforms, and an identifier names one thing."""

    def rename(value: object) -> object:
        prefix, reference, name = text(value).partition("SPDXRef-")
        if value == _DOCUMENT or prefix or not reference:
            return value
        return f"SPDXRef-{platform.replace('/', '-').replace('_', '-')}-{name}"

    described = [each.get("SPDXID") for each in _described(document)]
    image = {"name": platform, "primaryPackagePurpose": "CONTAINER"}
    found: dict[str, list[Document]] = {}
    for name in ("packages", "files"):
        found[name] = [
            {
                **each,
                **(image if each.get("SPDXID") in described else {}),
                "SPDXID": rename(each.get("SPDXID")),
            }
            for each in mappings(document.get(name))
        ]
    found["relationships"] = [
        {**each, **{key: rename(each.get(key)) for key in ("spdxElementId", "relatedSpdxElement")}}
        for each in mappings(document.get("relationships"))
    ]
    return found


def _relationship(subject: str, kind: str, other: str) -> Document:
    return {"spdxElementId": subject, "relationshipType": kind, "relatedSpdxElement": other}


def _purl(package: Mapping[str, Any]) -> str:
    for reference in mappings(package.get("externalRefs")):
        if reference.get("referenceType") == "purl":
            return text(reference.get("referenceLocator"))
    return ""
