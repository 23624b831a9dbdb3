"""A tar file's table of contents, from a file that nobody vouches for (POSIX pax, ustar, GNU).

Nothing is unpacked and no path is opened: names are only names. `tarfile` reads headers of any size into
memory, recurses, and (before 3.11.14) can be led round in circles by a negative size.
"""

import os
from collections.abc import Iterator
from enum import Enum
from typing import BinaryIO

from immutag.core.errors import BuildFailure
from immutag.core.frozen import frozen
from immutag.core.values import shown

_BLOCK = 512
_MEMBERS = 100_000
_HEADER_LIMIT_BYTES = 64 * 1024


class Kind(Enum):
    """What a member is; everything else in a tar (devices, sparse files) has no place in an archive."""

    FILE = "file"
    FOLDER = "folder"
    SYMLINK = "symlink"
    HARDLINK = "hardlink"
    OTHER = "other"


@frozen()
class Member:
    """A member: its name as written, where its content begins, and what a link names."""

    name: str
    kind: Kind
    offset: int
    size_bytes: int
    target: str


_KINDS = {
    b"0": Kind.FILE,
    b"\0": Kind.FILE,
    b"7": Kind.FILE,
    b"5": Kind.FOLDER,
    b"2": Kind.SYMLINK,
    b"1": Kind.HARDLINK,
}


def members(file: BinaryIO) -> Iterator[Member]:
    """Every member, in order. Ends at the end mark. Raises BuildFailure for what is not a tar."""
    end = file.seek(0, os.SEEK_END)
    offset, extra, common = 0, dict[str, str](), dict[str, str]()
    for _ in range(_MEMBERS):
        header = _read(file, offset, _BLOCK, end)
        if not header.strip(b"\0"):
            return
        kind, size = header[156:157], _size(header, extra)
        offset += _BLOCK
        if offset + size > end:
            raise _damaged("a member that ends inside the file", f"{size} bytes at {offset} of {end}")
        if kind in (b"L", b"K", b"x", b"g"):
            content = _read(file, offset, min(size, _HEADER_LIMIT_BYTES + 1), end)
            if kind == b"g":
                common |= _extended(kind, content)
            else:
                extra |= _extended(kind, content)
        else:
            yield _member(header, {**common, **extra}, offset, size)
            extra = {}
        offset += -(-size // _BLOCK) * _BLOCK
        if offset >= end:  # some writers leave out the end mark
            return
    raise _damaged(f"at most {_MEMBERS} members", "more")


def _member(header: bytes, extended: dict[str, str], offset: int, size: int) -> Member:
    name = _text(header[:100])
    if header[257:263] == b"ustar\0" and header[345] and "path" not in extended:
        name = f"{_text(header[345:500])}/{name}"
    name = extended.get("path", name)
    kind = _KINDS.get(header[156:157], Kind.OTHER)
    if kind is Kind.FILE and (name.endswith("/") or any(key.startswith("GNU.sparse") for key in extended)):
        kind = Kind.FOLDER if name.endswith("/") else Kind.OTHER
    return Member(name, kind, offset, size, extended.get("linkpath", _text(header[157:257])))


def _size(header: bytes, extra: dict[str, str]) -> int:
    stored = header[148:156]
    if _number(stored) != sum(header) - sum(stored) + 8 * 0x20:
        raise _damaged("a tar header", "a checksum that does not fit")
    if header[156:157] in (b"1", b"2", b"5"):
        return 0
    size = _decimal(extra["size"]) if "size" in extra else _number(header[124:136])
    if not 0 <= size < 1 << 50:
        raise _damaged("a size", str(size))
    return size


def _extended(kind: bytes, content: bytes) -> dict[str, str]:
    """What a header before a member says of it: pax records, or GNU's long name."""
    if len(content) > _HEADER_LIMIT_BYTES:
        raise _damaged(f"an extended header of at most {_HEADER_LIMIT_BYTES} bytes", "more")
    if kind in (b"L", b"K"):
        return {"path" if kind == b"L" else "linkpath": _text(content)}
    records = {}
    while content.strip(b"\0"):
        length, _, _ = content.partition(b" ")
        size = _decimal(length.decode("ascii", "replace"))
        record = content[len(length) + 1 : size]
        key, equals, value = record.removesuffix(b"\n").partition(b"=")
        if size > len(content) or not equals or not record.endswith(b"\n"):
            raise _damaged("a pax record", record[:80].decode(errors="replace"))
        records[key.decode(errors="replace")] = value.decode(errors="replace")
        content = content[size:]
    return records


def _read(file: BinaryIO, offset: int, size: int, end: int) -> bytes:
    file.seek(offset)
    content = file.read(size)
    if len(content) != size:
        raise _damaged(f"{size} bytes at {offset}", f"the end at {end}")
    return content


def _number(field: bytes) -> int:
    """Octal text, or GNU's base-256."""
    if field[0] & 0x80:
        return int.from_bytes(field, "big", signed=True) + (1 << (8 * len(field) - 1))
    text = field.strip(b" \0").decode("ascii", "replace")
    if text and not all(digit in "01234567" for digit in text):
        raise _damaged("an octal number", text)
    return int(text or "0", 8)


def _decimal(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 18:
        raise _damaged("a number", text)
    return int(text)


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode(errors="replace")


def _damaged(expected: str, found: str) -> BuildFailure:
    return BuildFailure(
        "not a tar archive, or a damaged one",
        expected=expected,
        found=shown(found),
        remedy="write it again: docker save, podman save, or skopeo copy",
    )
