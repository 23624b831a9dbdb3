"""OCI content: a registry's repository and a layout folder behind one interface, and copying between them.

Identity comes only from bytes that we hold. What a registry answers is compared, never adopted (DR-007).
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import BinaryIO, Protocol

from immutag.core.frozen import frozen
from immutag.core.values import Digest, GitSha, ShortTag

IMAGE_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
IMAGE_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
MANIFESTS = frozenset({IMAGE_MANIFEST, DOCKER_MANIFEST})
INDEXES = frozenset({IMAGE_INDEX, DOCKER_INDEX})
MANIFEST_LIMIT_BYTES = 4 * 1024 * 1024


@frozen()
class Descriptor:
    """What some content is: media type, digest, size in bytes (OCI image-spec, descriptor.md)."""

    media_type: str
    digest: Digest
    size_bytes: int

    @property
    def is_manifest(self) -> bool:
        """Whether it lives behind `/manifests/` rather than `/blobs/`."""
        return self.media_type in MANIFESTS or self.media_type in INDEXES


class Store(Protocol):
    """A registry's repository, or a layout folder.

    `None` and `False` mean that it said so (404). Whatever else happens raises RegistryAuth or
    RegistryUnavailable (DigestMismatch for a complete answer with other bytes): absence and ignorance
    never share a value.
    """

    def resolve(self, tag: GitSha | ShortTag) -> Descriptor | None:
        """The manifest behind a tag, its digest computed from the bytes received."""
        ...

    def exists(self, content: Descriptor) -> bool:
        """Whether the content is there, as far as the store says."""
        ...

    def fetch(self, content: Descriptor) -> AbstractContextManager[Iterator[bytes]]:
        """The content in blocks, size and digest checked while it streams; the last block comes only
        when they were right. Raises DigestMismatch."""
        ...

    def push(self, content: Descriptor, source: BinaryIO) -> None:
        """Put the content there by its digest. Doing it twice is harmless."""
        ...

    def tag(self, content: Descriptor, tag: GitSha | ShortTag) -> None:
        """Point a tag at a manifest that the store holds. The caller decides whether it may."""
        ...
