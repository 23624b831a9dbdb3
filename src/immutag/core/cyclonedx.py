"""CycloneDX 1.4 to 1.7 in JSON: its packages, and its link to a release (DR-009). Pure.

A field of another type than the standard says is as good as absent.
"""

import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from immutag.core.annotations import REVISION
from immutag.core.linkage import Document, Link, mapping, mappings, refuse_another, text
from immutag.core.packages import Package
from immutag.core.values import Digest, GitSha

IMAGE = "immutag:image"
_NO_PACKAGES = frozenset({"container", "cryptographic-asset", "data", "file"})
_ALGORITHMS = {"sha256": "SHA-256", "sha512": "SHA-512"}


def packages(document: Mapping[str, Any]) -> Iterator[Package]:
    """Components, and the components within them."""
    for component in mappings(document.get("components")):
        name, group = text(component.get("name")), text(component.get("group"))
        if name and component.get("type") not in _NO_PACKAGES:
            full = f"{group}/{name}" if group else name
            yield Package(full, text(component.get("version")), text(component.get("purl")))
        yield from packages(component)


def link(document: Mapping[str, Any], to: Link) -> Document:
    """The document, said of this release. Its time and serial number follow from the release."""
    metadata = mapping(document.get("metadata"))
    component = mapping(metadata.get("component"))
    algorithm = _ALGORITHMS[to.image.digest.algorithm]
    hashes = mappings(component.get("hashes"))
    refuse_another([each.get("content") for each in hashes if each.get("alg") == algorithm], to)
    properties = [
        each for each in mappings(component.get("properties")) if each.get("name") not in (REVISION, IMAGE)
    ]
    linked = component | {
        "type": "container",
        "bom-ref": text(component.get("bom-ref")) or to.purl,
        "name": str(to.image.repository),
        "version": str(to.sha),
        "purl": to.purl,
        "hashes": [{"alg": algorithm, "content": to.image.digest.hex}],
        "properties": [
            *properties,
            {"name": REVISION, "value": str(to.sha)},
            {"name": IMAGE, "value": str(to.image)},
        ],
        **_external_references(component, to),
    }
    return {
        **document,
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, to.purl)}",
        "version": 1,
        "metadata": metadata | {"timestamp": to.time, "component": linked},
    }


def unlinked(document: Mapping[str, Any], sha: GitSha, digest: Digest) -> tuple[str, ...]:
    """What keeps the document from being this release's, in words; nothing if it is."""
    component = mapping(mapping(document.get("metadata")).get("component"))
    hashed = {"alg": _ALGORITHMS[digest.algorithm], "content": digest.hex}
    revision = {"name": REVISION, "value": str(sha)}
    checks = {
        f"metadata.component.version is not {sha}": component.get("version") == str(sha),
        f"metadata.component.hashes has no {digest}": hashed in mappings(component.get("hashes")),
        f"metadata.component.properties has no {REVISION}={sha}": (
            revision in mappings(component.get("properties"))
        ),
    }
    return tuple(words for words, holds in checks.items() if not holds)


def join(documents: Mapping[str, Mapping[str, Any]]) -> Document:
    """One document of those of each platform: a container each, with its packages within."""
    first = next(iter(documents.values()))
    metadata = mapping(first.get("metadata"))
    metadata.pop("component", None)
    return {
        **{name: first[name] for name in ("$schema", "bomFormat", "specVersion") if name in first},
        "metadata": metadata,
        "components": [_platform(name, document) for name, document in documents.items()],
        "dependencies": [
            {key: _renamed(value, name) for key, value in each.items()}
            for name, document in documents.items()
            for each in mappings(document.get("dependencies"))
        ],
    }


def _external_references(component: Mapping[str, Any], to: Link) -> Document:
    others = [each for each in mappings(component.get("externalReferences")) if each.get("type") != "vcs"]
    source = [{"type": "vcs", "url": to.source, "comment": str(to.sha)}] if to.source else []
    return {"externalReferences": others + source} if others or source else {}


def _platform(name: str, document: Mapping[str, Any]) -> Document:
    component = mapping(mapping(document.get("metadata")).get("component"))
    return {
        **component,
        "type": "container",
        "bom-ref": f"{name}:{text(component.get('bom-ref'))}",
        "name": name,
        "components": [_component(each, name) for each in mappings(document.get("components"))],
    }


def _component(component: Mapping[str, Any], platform: str) -> Document:
    """The same package may be in several platforms, and a reference names one thing."""
    found = dict(component)
    if "bom-ref" in found:
        found["bom-ref"] = f"{platform}:{found['bom-ref']}"
    if "components" in found:
        found["components"] = [_component(each, platform) for each in mappings(found["components"])]
    return found


def _renamed(value: object, platform: str) -> object:
    if isinstance(value, list):
        return [_renamed(each, platform) for each in value]
    return f"{platform}:{value}"
