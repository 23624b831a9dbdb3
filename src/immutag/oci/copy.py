"""From one store to another: leaves first, root last, so that a root in the target is complete (DR-013).

Content that the target has is not moved again. What moves is checked once: a blob from a layout by the
registry that takes it, content from a registry by us while it streams.
"""

import io
import os
import time
from collections.abc import Callable, Iterator
from threading import Event, Lock
from typing import BinaryIO, Protocol, TypeVar, cast, runtime_checkable

from immutag.core.errors import BuildFailure, PushFailure, RegistryUnavailable
from immutag.core.report import Report
from immutag.core.values import Digest, Repository
from immutag.oci import INDEXES, Descriptor, Store
from immutag.oci.content import read
from immutag.oci.fanout import Cancelled, for_each
from immutag.oci.file_body import WatchedFile
from immutag.oci.graph import Graph, walk
from immutag.oci.layout import Layout
from immutag.oci.manifest import Index, parse

_LABEL = "content"
_SMALL_BYTES = 256 * 1024
_PAUSES_S = (0.1, 0.2, 0.4, 0.8, 1.5)
_T = TypeVar("_T")


@runtime_checkable
class Mounts(Protocol):
    """A store that can take a blob over from another repository of the same registry."""

    def mount(self, content: Descriptor, origin: Repository) -> bool:
        """Whether it did."""
        ...


def copy(
    source: Store,
    target: Store,
    root: Descriptor,
    *,
    report: Report | None = None,
    workers: int = 4,
    mount_from: Repository | None = None,
) -> int:
    """Copy everything below the root, and the root last; no tag. Returns the bytes that were moved.

    A registry is asked afterwards for what it says that it took. The first error stops the other transfers
    and is raised; PushFailure for what does not appear.
    """
    wrong = BuildFailure if isinstance(source, Layout) else RegistryUnavailable
    graph = walk(root, lambda content: read(source, content), wrong=wrong)
    moved = _Moved(graph, report)

    def move(blob: Descriptor, stop: Event) -> None:
        if mount_from is None or not _mounted(target, blob, mount_from):
            _move(source, target, blob, lambda bytes_: moved.reached(blob, bytes_, stop))
        if moved.has(blob):
            _arrived(target, blob)
        moved.finished(blob)

    for_each(move, sorted(graph.blobs.values(), key=_order), workers=workers)
    is_new = moved.total_bytes > 0  # then no manifest above can be there, or putting it again changes nothing
    for content, document in graph.manifests.items():
        if is_new or not target.exists(content):
            target.push(content, io.BytesIO(document))
            _arrived(target, content)
            moved.total_bytes += content.size_bytes
    return moved.total_bytes


def _order(blob: Descriptor) -> tuple[bool, int]:
    """The small ones while the connections are new, then the largest first: none is left for the end."""
    return blob.size_bytes > _SMALL_BYTES, -blob.size_bytes


def settled(look: Callable[[], _T]) -> _T:
    """What is seen, looked for again while it is nothing: some registries need a moment after a PUT."""
    for pause_s in _PAUSES_S:
        found = look()
        if found:
            return found
        time.sleep(pause_s)
    return look()


def digests(store: Store, root: Descriptor) -> frozenset[Digest]:
    """The root's digest and those of its platforms' manifests: what a platform may say that it runs."""
    found = {root.digest}
    if root.media_type in INDEXES:
        index = parse(read(store, root), root.media_type)
        for child in index.children if isinstance(index, Index) else ():
            if child.platform is None or child.platform.os != "unknown":  # an attestation never runs
                found |= digests(store, child.content)
    return frozenset(found)


class _Moved:
    """How far each blob has come, told by several threads."""

    def __init__(self, graph: Graph, report: Report | None) -> None:
        self.total_bytes = 0
        self._reached: dict[Digest, int] = {}
        self._all_bytes = sum(blob.size_bytes for blob in graph.blobs.values())
        self._report = report
        self._lock = Lock()

    def reached(self, blob: Descriptor, position: int, stop: Event) -> None:
        """So many bytes of it were read. Raises Cancelled if another transfer has failed."""
        if stop.is_set():
            raise Cancelled
        with self._lock:
            if blob.digest not in self._reached:
                self.total_bytes += blob.size_bytes
            self._reached[blob.digest] = position
        self._tell()

    def has(self, blob: Descriptor) -> bool:
        """Whether it was read for the target, which did not have it."""
        with self._lock:
            return blob.digest in self._reached

    def finished(self, blob: Descriptor) -> None:
        """The target has it, moved or not."""
        with self._lock:
            self._reached[blob.digest] = blob.size_bytes
        self._tell()

    def _tell(self) -> None:
        if self._report:
            with self._lock:
                done = sum(self._reached.values())
            self._report.transfer(_LABEL, done, self._all_bytes)


def _mounted(target: Store, blob: Descriptor, origin: Repository) -> bool:
    return isinstance(target, Mounts) and (target.exists(blob) or target.mount(blob, origin))


def _move(source: Store, target: Store, blob: Descriptor, reached: Callable[[int], None]) -> None:
    """Push the blob; a target that has it does not read it."""
    if isinstance(source, Layout) and not isinstance(target, Layout):
        with source.open(blob) as file, WatchedFile(os.dup(file.fileno()), reached) as watched:
            target.push(blob, watched)
        return
    if isinstance(target, Layout) and target.exists(blob):
        return
    with source.fetch(blob) as blocks:
        if isinstance(target, Layout):  # checked by the fetch, so not hashed again
            target.take(blob, _watched(blocks, reached))
        else:
            target.push(blob, cast("BinaryIO", _Stream(_watched(blocks, reached))))


def _arrived(target: Store, content: Descriptor) -> None:
    if not isinstance(target, Layout) and not settled(lambda: target.exists(content)):
        raise PushFailure(
            "the registry took the content, but does not have it",
            expected=str(content.digest),
            found="404 for the digest",
            remedy="try again; if it stays so, look at the registry and what stands before it",
        )


def _watched(blocks: Iterator[bytes], reached: Callable[[int], None]) -> Iterator[bytes]:
    position = 0
    for block in blocks:
        position += len(block)
        reached(position)
        yield block


class _Stream(io.RawIOBase):
    """Blocks as a file that is read once, from the start to the end."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self._rest = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        """At most so many bytes; all that is left if no size is given."""
        if size < 0:
            return self._rest + b"".join(self._blocks)
        self._rest = self._rest or next(self._blocks, b"")
        block, self._rest = self._rest[:size], self._rest[size:]
        return block
