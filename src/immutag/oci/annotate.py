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


def image_labels(
    store: Store, root: Descriptor, *, wrong: type[ImmutagError] = BuildFailure
) -> Mapping[str, frozenset[str]]:
    """The labels of the image, each with all that its platforms say; none for an artifact.

    Raises `wrong` for an image that is malformed.
    """
    said: dict[str, frozenset[str]] = {}
    for config in _configs(walk(root, lambda content: read(store, content), wrong=wrong)):
        labels = parse_config(read(store, config), wrong=wrong).labels
        for name, text in labels.items():
            said[name] = said.get(name, frozenset()) | {text}
    return said


def _configs(graph: Graph) -> Iterator[Descriptor]:
    """Of each platform; what stands in an index for no platform is an attestation, which runs nowhere."""
    indexes = [each for each in graph.parsed.values() if isinstance(each, Index)]
    named = [child for index in indexes for child in index.children]
    not_run = {each.content for each in named if each.platform and each.platform.os == "unknown"}
    images = [each for content, each in graph.parsed.items() if content not in not_run]
    for each in images:
        if isinstance(each, Manifest) and each.config.media_type in _IMAGE_CONFIGS:
            yield each.config
