"""A tar's table of contents, with Python's tarfile as the witness."""

import io
import tarfile
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from immutag.oci.tar import Kind, members


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@settings(deadline=None)
@given(
    names=st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=120)
                   .filter(lambda name: not name.endswith("/")), max_size=4),
    contents=st.binary(max_size=1200),
)  # fmt: skip
def test_a_table_of_contents_is_what_pythons_tarfile_says(
    form: int, names: list[str], contents: bytes
) -> None:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w", format=form) as tar:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = len(contents)
            with suppress(ValueError):  # a name that this form cannot hold
                tar.addfile(member, io.BytesIO(contents))
    with tarfile.open(fileobj=io.BytesIO(written.getvalue())) as tar:
        expected = [(each.name, each.offset_data, each.size) for each in tar.getmembers()]
    found = list(members(written))
    assert [(each.name, each.offset, each.size_bytes) for each in found] == expected
    assert all(each.kind is Kind.FILE for each in found)
