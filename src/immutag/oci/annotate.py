"""What an image says about itself: annotations of its root, labels of its config."""

import io
import json
from collections.abc import Mapping

from immutag.core.errors import BuildFailure
from immutag.oci import IMAGE_INDEX, IMAGE_MANIFEST, Descriptor, Store
from immutag.oci.content import digest_of, read
from immutag.oci.layout import Layout
from immutag.oci.manifest import Index, load, parse, parse_config

_IMAGE_CONFIGS = (
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
)


def with_annotations(layout: Layout, root: Descriptor, annotations: Mapping[str, str]) -> Descriptor:
    """The root with these annotations too, as the layout's new root. Nothing below it changes.

    A Docker manifest has no annotations in its specification and stays as it is.
    """
    document = load(layout.manifest(root), wrong=BuildFailure)
    held = document.get("annotations") or {}
    if root.media_type not in (IMAGE_MANIFEST, IMAGE_INDEX) or annotations.items() <= held.items():
        return root
    document["annotations"] = held | dict(annotations)
    content = json.dumps(document, separators=(",", ":")).encode()
    written = Descriptor(root.media_type, digest_of(content), len(content))
    parse(content, root.media_type, wrong=BuildFailure)
    layout.push(written, io.BytesIO(content))
    layout.set_root(written)
    return written


def image_labels(store: Store, root: Descriptor) -> Mapping[str, str]:
    """The labels of the image, of its first platform if it has several; none for an artifact.

    Raises BuildFailure for an image that is malformed.
    """
    found = parse(read(store, root), root.media_type, wrong=BuildFailure)
    if isinstance(found, Index):
        images = [each.content for each in found.children if each.platform and each.platform.os != "unknown"]
        return image_labels(store, images[0]) if images else {}
    if found.config.media_type not in _IMAGE_CONFIGS:
        return {}
    return parse_config(read(store, found.config), wrong=BuildFailure).labels
