"""Snappy blocks, held against the reference implementation, and against damage."""

import cramjam
import pytest
from hypothesis import given
from hypothesis import strategies as st

from immutag.trust.formats.malformed import Malformed
from immutag.trust.formats.snappy import decompress

CONTENT = st.binary(max_size=300) | st.builds(
    lambda part, times, rest: part * times + rest,
    st.binary(min_size=1, max_size=40),
    st.integers(1, 3000),
    st.binary(max_size=70),
)


def compressed(content: bytes) -> bytes:
    return bytes(cramjam.snappy.compress_raw(content))


@given(CONTENT)
def test_it_reads_what_the_reference_writes(content: bytes) -> None:
    assert decompress(compressed(content), limit_bytes=200_000) == content


@given(CONTENT, st.data())
def test_a_damaged_block_is_malformed_or_other_content_of_that_length(
    content: bytes, data: st.DataObject
) -> None:
    block = bytearray(compressed(content))
    block[data.draw(st.integers(0, len(block) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        found = decompress(bytes(block[: data.draw(st.integers(0, len(block)))]), limit_bytes=200_000)
    except Malformed:
        return
    assert len(found) <= 200_000


@pytest.mark.parametrize(
    "block",
    [
        b"", b"\xff" * 6, b"\x05", b"\x05\x10abc", b"\x04\x0d\x01", b"\x02\x04ab\x0d\x09", b"\x01\x00a\x00b",
        b"\x05\xf4\xff", b"\x80\x80\x80\x80\x10",
    ],
)  # fmt: skip
def test_a_block_that_is_none_is_malformed(block: bytes) -> None:
    with pytest.raises(Malformed):
        decompress(block, limit_bytes=1000)


def test_what_would_be_too_large_is_not_unpacked() -> None:
    with pytest.raises(Malformed):
        decompress(compressed(b"a" * 1001), limit_bytes=1000)
    assert decompress(compressed(b"a" * 1000), limit_bytes=1000) == b"a" * 1000
