"""Snappy's block format, which GitHub keeps its bundles in (google/snappy, format_description.txt)."""

from immutag.trust.formats.malformed import refuse

_LITERAL = 0
_LONG_LITERAL = 60
_VARINT_BYTES = 5


def decompress(block: bytes, *, limit_bytes: int) -> bytes:
    """The content of a block. Raises Malformed for one that is damaged, or larger than the limit."""
    size, at = _varint(block)
    if size > limit_bytes:
        refuse("snappy", f"at most {limit_bytes} bytes", size)
    out = bytearray()
    while at < len(block) and len(out) <= size:
        at = _element(block, at, out)
    if at != len(block) or len(out) != size:
        refuse("snappy", f"{size} bytes", f"{len(out)} bytes")
    return bytes(out)


def _varint(block: bytes) -> tuple[int, int]:
    """The length of the content: seven bits a byte, the lowest first."""
    end = next((at for at, byte in enumerate(block[:_VARINT_BYTES], 1) if byte < 0x80), None)
    if end is None:
        refuse("snappy", f"a length in at most {_VARINT_BYTES} bytes", block[:_VARINT_BYTES].hex())
    return sum((byte & 0x7F) << (7 * at) for at, byte in enumerate(block[:end])), end


def _element(block: bytes, at: int, out: bytearray) -> int:
    """Add one literal or copy, and give where the next one begins."""
    tag = block[at]
    if tag & 3 == _LITERAL:
        return _literal(block, at, out)
    width = (1, 2, 4)[(tag & 3) - 1]
    after = at + 1 + width
    if after > len(block):
        refuse("snappy", "a whole copy", "its end")
    offset = int.from_bytes(block[at + 1 : after], "little")
    length = (tag >> 2) + 1
    if width == 1:
        offset, length = offset | (tag >> 5) << 8, (tag >> 2 & 7) + 4
    if not 0 < offset <= len(out):
        refuse("snappy", "a copy of what came before", offset)
    start = len(out) - offset
    pattern = bytes(out[start : start + length])
    while len(pattern) < length:  # what is copied may be what this copy adds
        pattern += pattern
    out += pattern[:length]
    return after


def _literal(block: bytes, at: int, out: bytearray) -> int:
    length, start = block[at] >> 2, at + 1
    if length >= _LONG_LITERAL:
        start += length - _LONG_LITERAL + 1
        length = int.from_bytes(block[at + 1 : start], "little")
    after = start + length + 1
    if after > len(block):
        refuse("snappy", "a whole literal", "its end")
    out += block[start:after]
    return after
