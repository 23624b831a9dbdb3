"""Everything that a root manifest or index reaches: each piece named by the one above it, by digest."""

from collections.abc import Callable

from immutag.core.errors import BuildFailure, ImmutagError, RegistryUnavailable
from immutag.core.values import Digest, shown
from immutag.oci import MANIFEST_LIMIT_BYTES, Descriptor
from immutag.oci.content import mismatch
from immutag.oci.manifest import Index, Manifest, parse

_DEPTH = 4
_MANIFESTS = 1000
_MANIFESTS_LIMIT_BYTES = 64 * 1024 * 1024


class Graph:
    """Manifests with their bytes, children before parents; and the blobs below them, each once."""

    def __init__(self) -> None:
        self.manifests: dict[Descriptor, bytes] = {}
        self.parsed: dict[Descriptor, Manifest | Index] = {}
        self.blobs: dict[Digest, Descriptor] = {}


def walk(
    root: Descriptor,
    read: Callable[[Descriptor], bytes],
    *,
    wrong: type[ImmutagError] = RegistryUnavailable,
) -> Graph:
    """Read every manifest below the root; `read` checks digests. A subject is not below its referrer.

    Raises `wrong` for what is malformed or without bounds, BuildFailure for content hosted elsewhere.
    """
    graph = Graph()
    _visit(root, read, graph, wrong, depth=0)
    return graph


def _visit(
    content: Descriptor,
    read: Callable[[Descriptor], bytes],
    graph: Graph,
    wrong: type[ImmutagError],
    depth: int,
) -> None:
    if content in graph.manifests:
        return
    if depth > _DEPTH or not _bounded(content, graph):
        raise wrong(
            "an index has no reasonable bounds",
            expected=f"at most {_MANIFESTS} manifests of {MANIFEST_LIMIT_BYTES} bytes, {_DEPTH} deep",
            found=f"{content.size_bytes} bytes, {depth} deep, after {len(graph.manifests)} manifests",
            remedy="release an image with fewer platforms",
        )
    document = read(content)
    found = parse(document, content.media_type, wrong=wrong)
    match found:
        case Index():
            for child in found.children:
                _visit(child.content, read, graph, wrong, depth + 1)
        case Manifest():
            _refuse_elsewhere(found)
            for blob in (found.config, *found.layers):
                _add(blob, graph)
    graph.manifests[content], graph.parsed[content] = document, found


def _bounded(content: Descriptor, graph: Graph) -> bool:
    held = sum(each.size_bytes for each in graph.manifests)
    return (
        content.size_bytes <= MANIFEST_LIMIT_BYTES
        and len(graph.manifests) < _MANIFESTS
        and held + content.size_bytes <= _MANIFESTS_LIMIT_BYTES
    )


def _add(blob: Descriptor, graph: Graph) -> None:
    known = graph.blobs.setdefault(blob.digest, blob)
    if known.size_bytes != blob.size_bytes:
        raise mismatch(blob, f"one size, {known.size_bytes} bytes", f"{blob.size_bytes} bytes")


def _refuse_elsewhere(manifest: Manifest) -> None:
    """A layer behind a URL can change or vanish there: it is not content of ours (DR-013)."""
    for layer in manifest.elsewhere:
        raise BuildFailure(
            "a layer's content is hosted elsewhere",
            expected="layers that lie in the registry, without urls",
            found=shown(f"{layer.media_type} {layer.digest}"),
            remedy="build on a base image whose layers may be distributed",
        )
