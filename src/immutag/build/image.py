"""What a builder gave us: is it for the platforms that were asked for, and one root for several of them."""

import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

from immutag.core.errors import BuildFailure
from immutag.core.values import Platform
from immutag.oci import IMAGE_INDEX, Descriptor
from immutag.oci.content import digest_of, read
from immutag.oci.layout import Layout
from immutag.oci.manifest import Index, parse, parse_config


def platforms_of(layout: Layout, root: Descriptor) -> tuple[Platform, ...]:
    """The platforms that the image's own configs name, in the root's order. Raises BuildFailure."""
    found = parse(read(layout, root), root.media_type, wrong=BuildFailure)
    if isinstance(found, Index):
        images = [
            each.content for each in found.children if not (each.platform and each.platform.os == "unknown")
        ]
        return tuple(platform for image in images for platform in platforms_of(layout, image))
    platform = parse_config(read(layout, found.config), wrong=BuildFailure).platform
    return (platform,) if platform else ()


def check_platforms(layout: Layout, root: Descriptor, wanted: Sequence[Platform]) -> None:
    """Raises BuildFailure if the image is for other platforms than were asked for (DR-004)."""
    found = platforms_of(layout, root)
    # A config may name a variant that nobody asked for: arm64 is often arm64/v8.
    named = {(each.os, each.architecture) for each in found}
    if named != {(each.os, each.architecture) for each in wanted} or len(found) != len(wanted):
        raise BuildFailure(
            "the image is for another platform than was asked for",
            expected=", ".join(map(str, wanted)),
            found=", ".join(map(str, found)) or "none",
            remedy="use a base image of that platform, or correct platforms in [build]",
        )


def join(layout: Layout, images: Mapping[Platform, Descriptor]) -> Descriptor:
    """One root for an image of each platform: the image itself, or an index of several."""
    if len(images) == 1:
        (root,) = images.values()
    else:
        content = json.dumps(_index(images), separators=(",", ":")).encode()
        root = Descriptor(IMAGE_INDEX, digest_of(content), len(content))
        layout.push(root, io.BytesIO(content))
    layout.set_root(root)
    return root


def _index(images: Mapping[Platform, Descriptor]) -> dict[str, Any]:
    return {
        "schemaVersion": 2,
        "mediaType": IMAGE_INDEX,
        "manifests": [
            {
                "mediaType": image.media_type,
                "digest": str(image.digest),
                "size": image.size_bytes,
                "platform": _platform(platform),
            }
            for platform, image in images.items()
        ],
    }


def _platform(platform: Platform) -> dict[str, str]:
    named = {"architecture": platform.architecture, "os": platform.os}
    return {**named, "variant": platform.variant} if platform.variant else named
