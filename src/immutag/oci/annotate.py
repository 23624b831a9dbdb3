"""What an image says about itself: annotations of its root, labels of its config."""

import io
import json
from collections.abc import Iterator, Mapping

from immutag.core.errors import BuildFailure, ImmutagError
from immutag.oci import IMAGE_INDEX, IMAGE_MANIFEST, Descriptor, Store
from immutag.oci.content import digest_of, read
from immutag.oci.graph import Graph, walk
from immutag.oci.layout import Layout
from immutag.oci.manifest import Index, Manifest, load, parse, parse_config

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


def image_says(
    store: Store, root: Descriptor, *, wrong: type[ImmutagError] = BuildFailure
) -> Mapping[str, frozenset[str]]:
    """The labels and annotations of the image, each with all that its platforms and indexes say; nothing for
    an artifact.

    Raises `wrong` for an image that is malformed.
    """
    graph = walk(root, lambda content: read(store, content), wrong=wrong)
    images = list(_images(graph))
    indexes = [each for each in graph.parsed.values() if isinstance(each, Index)] if images else []
    labels = [parse_config(read(store, each.config), wrong=wrong).labels for each in images]
    annotations = [each.annotations for each in images] + [each.annotations for each in indexes]
    said: dict[str, frozenset[str]] = {}
    for texts in (*labels, *annotations):
        for name, text in texts.items():
            said[name] = said.get(name, frozenset()) | {text}
    return said


def _images(graph: Graph) -> Iterator[Manifest]:
    """Of each platform; what stands in an index for no platform is an attestation, which runs nowhere."""
    indexes = [each for each in graph.parsed.values() if isinstance(each, Index)]
    named = [child for index in indexes for child in index.children]
    not_run = {each.content for each in named if each.platform and each.platform.os == "unknown"}
    for each in [parsed for content, parsed in graph.parsed.items() if content not in not_run]:
        if isinstance(each, Manifest) and each.config.media_type in _IMAGE_CONFIGS:
            yield each
