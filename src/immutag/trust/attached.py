"""What is attached to an image, layer by layer, with its content: unverified, and bounded (DR-018)."""

from collections.abc import Mapping
from enum import Enum

from immutag.core.errors import DigestMismatch, MissingTag
from immutag.core.frozen import frozen, replace
from immutag.oci import Descriptor
from immutag.oci.http import Fault, NoAnswer
from immutag.oci.manifest import Manifest
from immutag.oci.objects import OBJECT_LIMIT_BYTES, Objects
from immutag.oci.referrers import Referrer, kept, read_manifest
from immutag.oci.registry import Registry
from immutag.oci.standard_tag import DSSE_ENVELOPE, SIMPLE_SIGNING

CONTENT_LIMIT_BYTES = 16 * 1024 * 1024
BUNDLE = "application/vnd.dev.sigstore.bundle"
"""How the media types begin: `.v0.3+json`, and `+json;version=0.2` before that."""
_OTHER_SIGNATURES = ("application/vnd.dev.cosign.artifact.sig", "application/vnd.cncf.notary.signature")


class Kind(Enum):
    """What something attached says it is, by media types: enough to know how to read it."""

    BUNDLE = "bundle"
    LEGACY = "legacy signature"
    OTHER_SIGNATURE = "signature of another form"
    ENVELOPE = "DSSE envelope"
    OTHER = "other content"


SIGNATURES = frozenset({Kind.BUNDLE, Kind.LEGACY, Kind.OTHER_SIGNATURE})
"""What may vouch for an image. A bundle does or does not by what is in it, whatever is said about it."""


class Unread(Enum):
    """Why there is no content."""

    TOO_LARGE = f"it is larger than {CONTENT_LIMIT_BYTES} bytes"
    GONE = "the registry does not have it"
    DAMAGED = "the registry has other bytes than the manifest says"


@frozen()
class Attached:
    """One layer of a manifest that lies in one of the places.

    `annotations` are the manifest's, `layer_annotations` the layer's own. `content` was checked against the
    layer's digest; there is none where `unread` says why.
    """

    place: str
    manifest: Descriptor
    artifact_type: str
    annotations: Mapping[str, str]
    kind: Kind
    layer: Descriptor
    layer_annotations: Mapping[str, str]
    content: bytes | None = None
    unread: Unread | None = None


def in_referrer(place: str, referrer: Referrer) -> list[Attached]:
    """A referrer's layers, still without content; of one that has none its config, or the index itself."""
    manifest = referrer.manifest
    layers: tuple[Descriptor, ...] = (referrer.content,)
    annotations: tuple[Mapping[str, str], ...] = ()
    if isinstance(manifest, Manifest):
        layers, annotations = manifest.layers or (manifest.config,), manifest.layer_annotations
    return [
        Attached(
            place,
            referrer.content,
            referrer.artifact_type,
            referrer.annotations,
            _kind(referrer.artifact_type, layer.media_type),
            layer,
            annotations[at] if annotations else {},
        )
        for at, layer in enumerate(layers)
    ]


def in_tag(place: str, content: Descriptor, manifest: Manifest, kind: Kind) -> list[Attached]:
    """The layers behind one of cosign's tags, still without content. The tag says of what kind they are."""
    return [
        Attached(place, content, manifest.config.media_type, manifest.annotations, kind, layer, annotations)
        for layer, annotations in zip(manifest.layers, manifest.layer_annotations, strict=True)
    ]


def with_content(attached: Attached, registry: Registry, objects: Objects | None) -> Attached:
    """The same with its content. Raises RegistryUnavailable, RegistryAuth."""
    layer = attached.layer
    if layer.size_bytes > CONTENT_LIMIT_BYTES:
        return replace(attached, unread=Unread.TOO_LARGE)
    try:
        found = _content(layer, registry, objects if layer.size_bytes <= OBJECT_LIMIT_BYTES else None)
    except MissingTag:
        return replace(attached, unread=Unread.GONE)
    except DigestMismatch:
        return replace(attached, unread=Unread.DAMAGED)
    except NoAnswer as failure:
        if failure.fault is not Fault.TOO_LARGE:
            raise
        return replace(attached, unread=Unread.TOO_LARGE)
    if found is None:
        return replace(attached, unread=Unread.GONE)
    if len(found) != layer.size_bytes:
        return replace(attached, unread=Unread.DAMAGED)
    return replace(attached, content=found)


def _content(layer: Descriptor, registry: Registry, objects: Objects | None) -> bytes | None:
    if layer.is_manifest:
        return read_manifest(registry, layer.digest, objects)
    return kept(objects, layer.digest, lambda: registry.small_blob(layer, limit_bytes=CONTENT_LIMIT_BYTES))


def _kind(artifact_type: str, media_type: str) -> Kind:
    if artifact_type.startswith(BUNDLE) or media_type.startswith(BUNDLE):
        return Kind.BUNDLE
    if media_type == SIMPLE_SIGNING:
        return Kind.LEGACY
    if artifact_type.startswith(_OTHER_SIGNATURES):
        return Kind.OTHER_SIGNATURE
    return Kind.ENVELOPE if media_type == DSSE_ENVELOPE else Kind.OTHER
