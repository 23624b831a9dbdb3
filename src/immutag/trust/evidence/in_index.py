"""Attestations that BuildKit puts inside an image's index: a manifest of the platform `unknown/unknown` for
each platform's image, its layers bare in-toto statements that nobody signed (BuildKit,
docs/attestations/attestation-storage.md).
"""

from immutag.core.errors import ImmutagError, MissingTag
from immutag.core.values import Digest
from immutag.core.verification import Place
from immutag.oci.fanout import map_each
from immutag.oci.manifest import Child, Index, Manifest, parse
from immutag.oci.objects import Objects
from immutag.oci.registry import Registry
from immutag.trust.attached import Attached, Kind, with_content

PLACE = "index"
REFERENCE = "vnd.docker.reference.digest"
"""The annotation with the digest of the image that the statements are about."""

_TYPE, _ATTESTATIONS = "vnd.docker.reference.type", "attestation-manifest"
_WORKERS = 8


def in_index(
    registry: Registry, image: Digest, *, objects: Objects | None = None
) -> tuple[list[Attached], Place]:
    """The statements in the index with this digest, read; each says in its annotations what it is about.

    Raises RegistryUnavailable, RegistryAuth, DigestMismatch, MissingTag.
    """
    found = registry.manifest_named(image)
    if found is None:
        raise MissingTag(
            "the registry does not have the image",
            expected=f"{registry.repository}@{image}",
            found="404",
            remedy="immutag show SHA",
        )
    root = parse(found[1], found[0].media_type)
    children = [each for each in root.children if _attests(each)] if isinstance(root, Index) else []
    layers = [layer for child in children for layer in _layers(registry, child)]
    read = map_each(lambda each: with_content(each, registry, objects), layers, workers=_WORKERS)
    return read, Place(PLACE, _answer(root, len(children), len(read)))


class _Malformed(ImmutagError):
    """A child that is no manifest; it never leaves this module."""


def _attests(child: Child) -> bool:
    """The annotation says so; the platform alone does in what older versions wrote."""
    unknown = child.platform is not None and child.platform.os == "unknown"
    return unknown or child.annotations.get(_TYPE) == _ATTESTATIONS


def _layers(registry: Registry, child: Child) -> list[Attached]:
    """Its layers, still without content; none of what is gone, or no manifest."""
    try:
        manifest = parse(registry.manifest(child.content), child.content.media_type, wrong=_Malformed)
    except (MissingTag, _Malformed):
        return []
    if not isinstance(manifest, Manifest):
        return []
    kind = manifest.artifact_type or manifest.config.media_type
    return [
        Attached(PLACE, child.content, kind, child.annotations, Kind.OTHER, layer, annotations)
        for layer, annotations in zip(manifest.layers, manifest.layer_annotations, strict=True)
    ]


def _answer(root: Manifest | Index, children: int, layers: int) -> str:
    if isinstance(root, Manifest):
        return "the image is no index"
    return f"{layers} statements in {children} manifests" if children else "no attestations in it"
