"""What `--from` takes, into a layout folder: a layout, an oci-archive, a docker-archive (DR-013).

All of it is hashed once on the way in, and nothing is unpacked: names in an archive are only names.
"""

import io
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO

from immutag.core.errors import BuildFailure
from immutag.core.report import Report
from immutag.core.values import shown
from immutag.oci import IMAGE_INDEX, Descriptor
from immutag.oci.compress import MAGIC, gunzip
from immutag.oci.content import blocks_of, checked
from immutag.oci.docker_archive import convert
from immutag.oci.fanout import for_each
from immutag.oci.graph import Graph, walk
from immutag.oci.layout import Layout, only_root
from immutag.oci.manifest import Index, parse
from immutag.oci.table import Table

_WORKERS = 4
_EXPANDED_BYTES, _EXPANDED_TIMES = 4 << 30, 100


def ingest(source: Path, layout: Path, *, report: Report | None = None) -> Descriptor:
    """Bring an image into a layout folder, every reachable digest checked. The same input, the same root.

    A layout folder's files are hard-linked where the file system allows it. Raises BuildFailure for what
    is no image or several, DigestMismatch for damaged content.
    """
    if report:
        report.step(f"reading the image from {source}")
    try:
        if source.is_dir():
            return _from_layout(source, layout)
        with _tar(source, layout) as file:
            table = Table(file)
            if "oci-layout" in table and "index.json" in table:  # docker save 25 writes both kinds in one
                return _from_oci_archive(table, layout)
            if "manifest.json" in table:
                return convert(table, Layout.create(layout))
    except OSError as error:
        raise _failure("the image cannot be read", "a readable file or folder", str(error)) from error
    raise _failure("not an image", "an OCI layout, an oci-archive or a docker-archive", str(source))


def _from_layout(source: Path, layout: Path) -> Descriptor:
    given = Layout(source)
    root = given.root()
    graph = walk(root, given.manifest, wrong=BuildFailure)
    if layout.exists() and layout.samefile(source):
        _for_blobs(graph, lambda blob: _verify(given, blob))
        return root
    ours = Layout.create(layout)
    _for_blobs(graph, lambda blob: _link_or_copy(given, ours, blob))
    return _finish(ours, graph, root)


def _from_oci_archive(table: Table, layout: Path) -> Descriptor:
    def read(content: Descriptor) -> bytes:
        return b"".join(checked(table.blocks(table.blob(content)), content))

    index = parse(table.small("index.json"), IMAGE_INDEX, wrong=BuildFailure)
    root = only_root(index.children if isinstance(index, Index) else (), read)
    graph = walk(root, read, wrong=BuildFailure)
    ours = Layout.create(layout)
    _for_blobs(graph, lambda blob: ours.take(blob, checked(table.blocks(table.blob(blob)), blob)))
    return _finish(ours, graph, root)


def _finish(ours: Layout, graph: Graph, root: Descriptor) -> Descriptor:
    for content, document in graph.manifests.items():
        ours.push(content, io.BytesIO(document))
    ours.set_root(root)
    return root


def _for_blobs(graph: Graph, work: Callable[[Descriptor], None]) -> None:
    largest_first = sorted(graph.blobs.values(), key=lambda blob: -blob.size_bytes)
    for_each(lambda blob, _: work(blob), largest_first, workers=_WORKERS)


def _verify(layout: Layout, blob: Descriptor) -> None:
    with layout.fetch(blob) as blocks:
        for _ in blocks:
            pass


def _link_or_copy(given: Layout, ours: Layout, blob: Descriptor) -> None:
    with given.open(blob) as file:
        try:
            ours.link(blob, given.path(blob.digest))
        except OSError:  # another file system, or one that has no links
            ours.take(blob, checked(blocks_of(file), blob))


@contextmanager
def _tar(source: Path, layout: Path) -> Iterator[BinaryIO]:
    """The archive as a file that can be read at any place: a gzipped one is expanded beside the layout."""
    with _open(source) as file:
        if file.read(2) != MAGIC:
            yield file
            return
        file.seek(0)
        limit = max(_EXPANDED_BYTES, _EXPANDED_TIMES * source.stat().st_size)
        layout.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=layout.parent) as expanded:
            expanded.writelines(gunzip(blocks_of(file), limit))
            expanded.flush()
            yield expanded


def _open(source: Path) -> BinaryIO:
    """The file, behind a link or not; a pipe cannot be read twice, and might be waited for without end."""
    handle = os.open(source, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise _failure("the image cannot be read", "a file or a folder", f"{source}: neither")
    return os.fdopen(handle, "rb")


def _failure(message: str, expected: str, found: str) -> BuildFailure:
    remedy = "give --from an OCI layout folder, or what docker save, podman save or skopeo copy wrote"
    return BuildFailure(message, expected=expected, found=shown(found), remedy=remedy)
