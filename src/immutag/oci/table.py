"""A tar file's members by name, read where they lie. Threads may read at once."""

import os
import posixpath
from collections.abc import Iterator
from typing import BinaryIO

from immutag.core.errors import BuildFailure
from immutag.core.values import shown
from immutag.oci import MANIFEST_LIMIT_BYTES, Descriptor
from immutag.oci.content import BLOCK_BYTES, mismatch
from immutag.oci.tar import Kind, Member, members

_LINKS = 8


class Table:
    """The members of a tar file that stays open. Raises BuildFailure for bad names and for a name twice."""

    def __init__(self, file: BinaryIO) -> None:
        self._handle = file.fileno()
        self._members: dict[str, Member] = {}
        for member in members(file):
            name = _inside(member.name)
            if member.kind is Kind.FOLDER:
                continue
            if name in self._members:
                raise _failure("an archive holds a name twice", "each name once", name)
            self._members[name] = member

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def member(self, name: str) -> Member:
        """The file of that name, links followed within the archive."""
        name = _inside(name)
        for _ in range(_LINKS):
            member = self._members.get(name)
            if member is None:
                raise _failure("an archive lacks a file that it names", "the file", name)
            match member.kind:
                case Kind.FILE:
                    return member
                case Kind.SYMLINK:
                    name = _inside(posixpath.join(posixpath.dirname(name), member.target))
                case Kind.HARDLINK:
                    name = _inside(member.target)
                case _:
                    break
        raise _failure("an archive's member is no file", f"a file, or at most {_LINKS} links to one", name)

    def blob(self, content: Descriptor) -> Member:
        """The file of that content in an oci-archive, of the right size but not hashed."""
        member = self.member(f"blobs/{content.digest.algorithm}/{content.digest.hex}")
        if member.size_bytes != content.size_bytes:
            raise mismatch(content, f"{content.size_bytes} bytes", f"{member.size_bytes} bytes")
        return member

    def small(self, name: str) -> bytes:
        """A whole document. Raises BuildFailure for one that is too large."""
        member = self.member(name)
        if member.size_bytes > MANIFEST_LIMIT_BYTES:
            raise _failure(
                "an archive's document is too large",
                f"at most {MANIFEST_LIMIT_BYTES} bytes",
                f"{name}: {member.size_bytes} bytes",
            )
        return b"".join(self.blocks(member))

    def blocks(self, member: Member) -> Iterator[bytes]:
        """The file's content, in blocks of one size but the last."""
        at, end = member.offset, member.offset + member.size_bytes
        while at < end:
            block = os.pread(self._handle, min(BLOCK_BYTES, end - at), at)
            if not block:
                raise _failure("an archive ends too soon", f"{end} bytes", f"{at} bytes")
            yield block
            at += len(block)


def _inside(name: str) -> str:
    """The name in its one form. Raises BuildFailure for one that leads out of the archive."""
    path = posixpath.normpath(name)
    if path.startswith("/") or path.split("/")[0] == "..":
        raise _failure("an archive's name leads out of it", "a name inside the archive", name)
    return path


def _failure(message: str, expected: str, found: str) -> BuildFailure:
    remedy = "write it again: docker save, podman save, or skopeo copy"
    return BuildFailure(message, expected=expected, found=shown(found), remedy=remedy)
