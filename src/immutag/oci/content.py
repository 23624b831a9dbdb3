"""Bytes on their way: nothing is believed before its size and digest were right (DR-013)."""

import hashlib
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from immutag.core.errors import DigestMismatch
from immutag.core.values import Digest
from immutag.oci import MANIFEST_LIMIT_BYTES, Descriptor, Store

BLOCK_BYTES = 1024 * 1024


def digest_of(content: bytes, algorithm: str = "sha256") -> Digest:
    """The digest of bytes that we hold."""
    return Digest(f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}")


def read(store: Store, content: Descriptor) -> bytes:
    """A manifest's or config's bytes, checked. Raises DigestMismatch, also for one that is too large."""
    if content.size_bytes > MANIFEST_LIMIT_BYTES:
        raise mismatch(content, f"at most {MANIFEST_LIMIT_BYTES} bytes", f"{content.size_bytes} bytes")
    with store.fetch(content) as blocks:
        return b"".join(blocks)


def blocks_of(source: BinaryIO) -> Iterator[bytes]:
    """What is left of a file, in blocks."""
    while block := source.read(BLOCK_BYTES):
        yield block


def checked(blocks: Iterable[bytes], content: Descriptor) -> Iterator[bytes]:
    """The same blocks; the last one comes only when size and digest of all were right.

    Stops at the first byte too many. Raises DigestMismatch.
    """
    hashing = hashlib.new(content.digest.algorithm)
    held, size = b"", 0
    for block in blocks:
        size += len(block)
        if size > content.size_bytes:
            break
        hashing.update(block)
        if held:
            yield held
        held = block
    if size != content.size_bytes:
        count = f"{size} bytes" if size < content.size_bytes else "more"
        raise mismatch(content, f"{content.size_bytes} bytes", count)
    found = f"{content.digest.algorithm}:{hashing.hexdigest()}"
    if found != content.digest.value:
        raise mismatch(content, str(content.digest), found)
    if held:
        yield held


def mismatch(content: Descriptor, expected: str, found: str) -> DigestMismatch:
    """The error for content that is not what its descriptor says."""
    return DigestMismatch(
        f"{content.digest} has other content than its name says",
        expected=expected,
        found=found,
        remedy="fetch or build it again; if it stays so, the place that it came from is damaged",
    )
