"""Bytes that are checked on their way."""

import hashlib
import itertools
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from immutag.core.errors import DigestMismatch
from immutag.core.values import Digest
from immutag.oci import Descriptor
from immutag.oci.content import checked

BLOCKS = st.lists(st.binary(min_size=1, max_size=50), max_size=5)


def described(content: bytes, algorithm: str = "sha256") -> Descriptor:
    digest = Digest(f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}")
    return Descriptor("application/octet-stream", digest, len(content))


@settings(deadline=None)
@given(BLOCKS, st.sampled_from(["sha256", "sha512"]))
def test_the_right_bytes_pass_unchanged(blocks: list[bytes], algorithm: str) -> None:
    assert list(checked(blocks, described(b"".join(blocks), algorithm))) == blocks


@settings(deadline=None)
@given(BLOCKS, BLOCKS)
def test_other_bytes_never_come_out_whole(blocks: list[bytes], others: list[bytes]) -> None:
    content = described(b"".join(blocks))
    if b"".join(blocks) == b"".join(others):
        return
    out = bytearray()
    with pytest.raises(DigestMismatch):
        for block in checked(others, content):
            out += block
    assert len(out) < max(1, len(b"".join(others)))


def test_a_source_without_end_is_left_at_the_first_byte_too_many() -> None:
    read = []

    def endless() -> Iterator[bytes]:
        for at in itertools.count():
            read.append(at)
            yield b"x" * 10

    with pytest.raises(DigestMismatch):
        list(checked(endless(), described(b"x" * 25)))
    assert len(read) == 3
