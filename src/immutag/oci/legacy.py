"""cosign's own tags beside an image, `sha256-<hex>.sig` and `.att`: a manifest with one layer for each
signature or attestation. Others sign too, so a layer is added to those that are there.
"""

import json
from typing import Any

from immutag.core.errors import PushFailure
from immutag.core.values import Digest
from immutag.oci import IMAGE_MANIFEST, MANIFESTS, Descriptor
from immutag.oci.attach import Layer, encoded, push_blobs
from immutag.oci.content import digest_of
from immutag.oci.extend import extend
from immutag.oci.manifest import Manifest, load, parse
from immutag.oci.refusal import pushing
from immutag.oci.registry import Registry
from immutag.oci.standard_tag import DSSE_ENVELOPE, SIMPLE_SIGNING, StandardTag, Suffix, TagContent

__all__ = ["DSSE_ENVELOPE", "LAYERS_LIMIT", "SIMPLE_SIGNING", "add_layer"]

_CONFIG = "application/vnd.oci.image.config.v1+json"
LAYERS_LIMIT = 1000
"""cosign reads no more, and refuses all when there are more."""


def add_layer(registry: Registry, subject: Digest, suffix: Suffix, layer: Layer) -> Descriptor:
    """Put one layer behind the tag, beside those of others; the same one twice changes nothing.

    Returns the manifest that holds it, as it was read back. Raises PushFailure, RegistryAuth; TagImmutable
    where there are layers already and the registry forbids to write the tag again.
    """
    tag = StandardTag(subject, suffix)
    latest: list[Descriptor] = []

    def merge(held: TagContent | None) -> tuple[Descriptor, bytes] | None:
        here = held if held and held.content.digest != subject else None
        manifest = _manifest(here) if here else None
        if here and manifest and _holds(manifest, layer):
            latest[:] = [here.content]
            return None
        return _with(registry, here, manifest, layer)

    with pushing():
        push_blobs(registry, [layer])
        extend(registry, tag, merge)
    return latest[0]


def _manifest(held: TagContent) -> Manifest:
    found = parse(held.text, held.content.media_type, wrong=PushFailure)
    if held.content.media_type not in MANIFESTS or not isinstance(found, Manifest):
        raise PushFailure(
            "a tag of cosign's holds something else",
            expected="a manifest with signatures as its layers",
            found=f"{held.content.media_type} {held.content.digest}",
            remedy="find out who wrote the tag sha256-…; it is not overwritten",
        )
    return found


def _holds(manifest: Manifest, layer: Layer) -> bool:
    """The signature is an annotation, so the same payload twice may be two signatures."""
    return any(
        content.digest == layer.descriptor.digest and annotations == layer.annotations
        for content, annotations in zip(manifest.layers, manifest.layer_annotations, strict=True)
    )


def _with(
    registry: Registry, held: TagContent | None, manifest: Manifest | None, layer: Layer
) -> tuple[Descriptor, bytes]:
    """The manifest with one layer more, and a config that counts them as cosign's own does."""
    document: dict[str, Any] = {"schemaVersion": 2, "mediaType": IMAGE_MANIFEST}
    if held and manifest:
        document = load(held.text, wrong=PushFailure)
        _refuse_too_many(manifest)
    document["layers"] = [*(document.get("layers") or ()), layer.encode()]
    config = _config([each["digest"] for each in document["layers"]])
    push_blobs(registry, [config])
    document["config"] = encoded(config.descriptor)
    text = json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
    media_type = held.content.media_type if held else IMAGE_MANIFEST
    return Descriptor(media_type, digest_of(text), len(text)), text


def _config(diff_ids: list[str]) -> Layer:
    """An image's config; the layers are not compressed, so each is its own diff id."""
    document = {
        "architecture": "",
        "config": {},
        "history": [{"created": "0001-01-01T00:00:00Z"} for _ in diff_ids],
        "os": "",
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    }
    return Layer(_CONFIG, json.dumps(document, separators=(",", ":")).encode(), {})


def _refuse_too_many(manifest: Manifest) -> None:
    if len(manifest.layers) >= LAYERS_LIMIT:
        raise PushFailure(
            "the image has as many signatures of cosign's own form as cosign reads",
            expected=f"fewer than {LAYERS_LIMIT}",
            found=str(len(manifest.layers)),
            remedy="set [trust] legacy = false, or clean up: cosign clean --type signature",
        )
