"""What is kept on this machine by its digest: bounded, hashed again when read, and never in the way."""

import os
import threading
from pathlib import Path

import pytest

from immutag.core.values import Digest
from immutag.oci.content import digest_of
from immutag.oci.objects import OBJECT_LIMIT_BYTES, Objects


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_what_was_kept_is_there(tmp_path: Path, algorithm: str) -> None:
    digest = digest_of(b"content", algorithm)
    Objects(tmp_path).put(digest, b"content")
    assert Objects(tmp_path).get(digest) == b"content"
    assert Objects(tmp_path).get(digest_of(b"other", algorithm)) is None


@pytest.mark.parametrize("damage", [b"", b"conten", b"contenT", b"content!", b"x" * (OBJECT_LIMIT_BYTES + 9)])
def test_what_was_changed_there_is_not_believed_and_goes(tmp_path: Path, damage: bytes) -> None:
    objects, digest = Objects(tmp_path), digest_of(b"content")
    objects.put(digest, b"content")
    (path,) = _files(tmp_path)
    path.write_bytes(damage)
    assert objects.get(digest) is None
    assert not path.exists()


def test_what_is_large_is_not_kept(tmp_path: Path) -> None:
    objects = Objects(tmp_path)
    for size in (OBJECT_LIMIT_BYTES, OBJECT_LIMIT_BYTES + 1):
        content = bytes(size)
        objects.put(digest_of(content), content)
    assert [path.stat().st_size for path in _files(tmp_path)] == [OBJECT_LIMIT_BYTES]


def test_it_never_grows_beyond_its_bounds_and_the_oldest_go_first(tmp_path: Path) -> None:
    """All in one of its folders, which takes half a mebibyte."""
    objects, number = Objects(tmp_path), 0
    kept: list[tuple[Digest, bytes]] = []
    while len(kept) < 12:
        content = b"%d" % number + bytes(100_000)
        digest = digest_of(content)
        number += 1
        if digest.hex.startswith("00"):
            objects.put(digest, content)
            kept.append((digest, content))
            os.utime(tmp_path / "sha256" / "00" / digest.hex, (len(kept), len(kept)))
    assert [objects.get(digest) == content for digest, content in kept] == [False] * 7 + [True] * 5
    assert sum(path.stat().st_size for path in _files(tmp_path)) <= 512 * 1024


def test_what_a_killed_process_left_half_written_goes_in_time(tmp_path: Path) -> None:
    content = bytes(20_000)
    objects, digest = Objects(tmp_path), digest_of(content)
    half = tmp_path / "sha256" / digest.hex[:2] / ".1-1"
    half.parent.mkdir(parents=True)
    half.write_bytes(bytes(600_000))
    objects.put(digest, content)
    assert _files(tmp_path) == [half.parent / digest.hex]


@pytest.mark.parametrize("folder", ["/proc/none", "/dev/null/none"])
def test_where_nothing_can_be_written_there_is_no_store_and_no_error(folder: str) -> None:
    objects, digest = Objects(Path(folder)), digest_of(b"content")
    objects.put(digest, b"content")
    assert objects.get(digest) is None


def test_many_may_write_and_read_the_same(tmp_path: Path) -> None:
    contents = [b"%d" % number * 1000 for number in range(20)]
    wrong: list[Digest] = []

    def work() -> None:
        objects = Objects(tmp_path)
        for content in contents * 5:
            digest = digest_of(content)
            objects.put(digest, content)
            if objects.get(digest) != content:
                wrong.append(digest)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(_files(tmp_path)) == len(contents)


@pytest.mark.parametrize(
    ("environ", "folder"),
    [
        ({"XDG_CACHE_HOME": "/c", "HOME": "/h"}, "/c/immutag/objects"),
        ({"XDG_CACHE_HOME": "relative", "HOME": "/h"}, "/h/.cache/immutag/objects"),
        ({"XDG_CACHE_HOME": "", "HOME": "/h"}, "/h/.cache/immutag/objects"),
        ({"HOME": "relative"}, None),
        ({}, None),
    ],
)
def test_it_lies_in_the_users_cache_folder(environ: dict[str, str], folder: str | None) -> None:
    found = Objects.of_user(environ)
    assert (found and str(found.folder)) == folder
