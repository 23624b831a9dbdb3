"""gzip, the same bytes for the same input, on all cores and in flat memory; and back within a bound."""

import struct
import zlib
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from os import cpu_count

from immutag.core.errors import BuildFailure

MAGIC = b"\x1f\x8b"
_HEADER = bytes([0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 255])  # no name, no time, no system (RFC 1952)
_GZIP = zlib.MAX_WBITS | 16
_LEVEL = 6
_BLOCK_BYTES = 1024 * 1024


def gzip(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Each block deflated by itself and flushed to a byte, so that several are at work at once.

    How the input is cut into blocks is part of the result: give blocks of one size.
    """
    check, size, waiting = 0, 0, deque[Future[bytes]]()
    yield _HEADER
    threads = cpu_count() or 1
    with ThreadPoolExecutor(threads) as pool:
        for block in blocks:
            waiting.append(pool.submit(_deflated, block))
            check, size = zlib.crc32(block, check), size + len(block)
            if len(waiting) > 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    yield b"\x03\x00" + struct.pack("<II", check, size & 0xFFFFFFFF)  # an empty last block


def gunzip(blocks: Iterable[bytes], limit_bytes: int) -> Iterator[bytes]:
    """The content of a gzip file, member after member. Raises BuildFailure if damaged or beyond the limit."""
    inflate, size = zlib.decompressobj(wbits=_GZIP), 0
    for block in blocks:
        rest = block
        while rest:
            if inflate.eof:
                rest = rest.lstrip(b"\0")  # padding between or after members
                if not rest:
                    break
                inflate = zlib.decompressobj(wbits=_GZIP)
            content, rest = _inflated(inflate, rest)
            size += len(content)
            if size > limit_bytes:
                raise _damaged(f"at most {limit_bytes} bytes uncompressed", "more")
            if content:
                yield content
    if content := inflate.flush():
        yield content
    if not inflate.eof:
        raise _damaged("a whole gzip file", "its end is missing")


def _inflated(inflate: "zlib._Decompress", rest: bytes) -> tuple[bytes, bytes]:
    """At most one block of content, and the input that is left."""
    try:
        content = inflate.decompress(rest, _BLOCK_BYTES)
    except zlib.error as error:
        raise _damaged("a gzip file", str(error)) from None
    return content, inflate.unused_data if inflate.eof else inflate.unconsumed_tail


def _deflated(block: bytes) -> bytes:
    deflate = zlib.compressobj(_LEVEL, wbits=-zlib.MAX_WBITS)
    return deflate.compress(block) + deflate.flush(zlib.Z_SYNC_FLUSH)


def _damaged(expected: str, found: str) -> BuildFailure:
    return BuildFailure("a gzip file is damaged", expected=expected, found=found, remedy="write it again")
