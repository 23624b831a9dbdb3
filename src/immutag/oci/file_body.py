"""A request's body that is a file, and can be sent without being read (DR-012)."""

import io
from collections.abc import Callable

from immutag.core.frozen import frozen
from immutag.oci.message import BodySource

_WORTH_BYTES = 256 * 1024  # below, a connection that is open already counts for more


class WatchedFile(io.FileIO):
    """A real file that tells how far it was read, or sent without being read."""

    def __init__(self, handle: int, reached: Callable[[int], None]) -> None:
        super().__init__(handle, "rb")
        self.reached = reached

    def read(self, size: int | None = -1, /) -> bytes:
        block = super().read(size)
        self.reached(self.tell())
        return block


@frozen()
class FileBody:
    """`size_bytes` from `offset` of a file."""

    file: WatchedFile
    offset: int
    size_bytes: int


def as_file(url: str, body: bytes | BodySource) -> FileBody | None:
    """The body as a file to send, if it is one and libcurl's connection takes it as it is."""
    if not url.startswith("http://") or not isinstance(body, BodySource) or body.size_bytes < _WORTH_BYTES:
        return None
    if isinstance(body.stream, WatchedFile):
        return FileBody(body.stream, body.offset, body.size_bytes)
    return None
