"""gzip: the same bytes for the same input, readable by others, and read back within a bound."""

import gzip

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from immutag.core.errors import BuildFailure
from immutag.oci.compress import gunzip
from immutag.oci.compress import gzip as gzipped


@settings(deadline=None)
@given(st.lists(st.binary(max_size=5000), max_size=6))
def test_compressed_content_comes_back_and_is_always_the_same(blocks: list[bytes]) -> None:
    compressed = b"".join(gzipped(blocks))
    assert compressed == b"".join(gzipped(blocks))
    assert gzip.decompress(compressed) == b"".join(blocks)
    assert b"".join(gunzip([compressed], 1 << 20)) == b"".join(blocks)


@settings(deadline=None)
@given(st.lists(st.binary(max_size=3000), min_size=1, max_size=3), st.integers(1, 700), st.integers(0, 600))
def test_what_gzip_wrote_is_read_however_it_comes(members_: list[bytes], cut: int, padding: int) -> None:
    compressed = b"".join(gzip.compress(each) for each in members_) + bytes(padding)
    pieces = [compressed[at : at + cut] for at in range(0, len(compressed), cut)]
    assert b"".join(gunzip(pieces, 1 << 20)) == b"".join(members_)
    with pytest.raises(BuildFailure):
        b"".join(gunzip([compressed[: -padding - 1]], 1 << 20))


def test_more_than_the_bound_is_refused() -> None:
    compressed = gzip.compress(bytes(5_000_000))
    assert sum(map(len, gunzip([compressed], 5_000_000))) == 5_000_000
    with pytest.raises(BuildFailure):
        list(gunzip([compressed], 4_999_999))
