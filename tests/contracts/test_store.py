"""What every store does: a layout folder, and repositories of the registries that people run."""

import hashlib
import io
import json
import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from immutag.core.errors import DigestMismatch, ImmutagError
from immutag.core.values import Digest, GitSha
from immutag.oci import DOCKER_MANIFEST, IMAGE_INDEX, IMAGE_MANIFEST, Descriptor, Store
from immutag.oci.auth import Credentials
from immutag.oci.copy import copy, digests
from immutag.oci.http import Http
from immutag.oci.layout import Layout
from immutag.oci.registry import Registry
from tests.parts import registries

SHA, OTHER = GitSha("1" * 40), GitSha("2" * 40)
STORES = [
    "layout", "registry2", "registry3", "registry_referrers", "registry_immutable", "registry_auth",
    "registry_token", "registry_tls",
]  # fmt: skip


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "layout":
        yield Layout.create(tmp_path / "store")
        return
    part: registries.Registry = request.getfixturevalue(request.param)
    with ExitStack() as closing:
        http = Http(ca=part.ca, environ={})
        closing.callback(http.close)
        yield Registry(
            part.repository(),
            http=http,
            credentials=lambda: _credentials(part),
            plain_http=part.scheme == "http",
        )


def _credentials(part: registries.Registry) -> Credentials | None:
    return Credentials(part.username, part.password or "") if part.username else None


def described(content: bytes, media_type: str = "application/octet-stream") -> Descriptor:
    return Descriptor(media_type, Digest(f"sha256:{hashlib.sha256(content).hexdigest()}"), len(content))


def push(store: Store, content: bytes, media_type: str = "application/octet-stream") -> Descriptor:
    found = described(content, media_type)
    store.push(found, io.BytesIO(content))
    return found


def fetched(store: Store, content: Descriptor) -> bytes:
    with store.fetch(content) as blocks:
        return b"".join(blocks)


def listed(content: Descriptor) -> dict[str, object]:
    return {"mediaType": content.media_type, "digest": str(content.digest), "size": content.size_bytes}


def push_image(store: Store, *layers: bytes, media_type: str = IMAGE_MANIFEST) -> Descriptor:
    config = push(store, b"{}", "application/vnd.oci.image.config.v1+json")
    document = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": listed(config),
        "layers": [listed(push(store, layer)) for layer in layers],
    }
    return push(store, json.dumps(document).encode(), media_type)


def push_index(store: Store, *images: Descriptor) -> Descriptor:
    document = {"schemaVersion": 2, "mediaType": IMAGE_INDEX, "manifests": [listed(each) for each in images]}
    return push(store, json.dumps(document).encode(), IMAGE_INDEX)


@pytest.mark.parametrize("size", [0, 1, 511, 1024 * 1024, 5 * 1024 * 1024 + 1])
def test_what_was_pushed_is_fetched(store: Store, size: int) -> None:
    content = os.urandom(size)
    assert not store.exists(described(content))
    pushed = push(store, content)
    assert store.exists(pushed)
    assert fetched(store, pushed) == content


def test_a_real_file_is_pushed_from_where_it_stands(store: Store, tmp_path: Path) -> None:
    content = os.urandom(3_000_000)
    (tmp_path / "content").write_bytes(content)
    with (tmp_path / "content").open("rb") as file:
        store.push(described(content), file)
    assert fetched(store, described(content)) == content


def test_pushing_twice_is_harmless(store: Store) -> None:
    image = push_image(store, b"layer")
    assert push_image(store, b"layer") == image
    assert store.exists(image)


def test_other_content_than_named_is_not_taken(store: Store) -> None:
    named = described(b"right")
    with pytest.raises(DigestMismatch):
        store.push(named, io.BytesIO(b"wrong"))
    assert not store.exists(named)


def test_other_manifest_bytes_than_named_are_not_taken(store: Store) -> None:
    image = push_image(store, b"layer")
    named = Descriptor(image.media_type, Digest("sha256:" + "0" * 64), image.size_bytes)
    with pytest.raises(DigestMismatch):
        store.push(named, io.BytesIO(fetched(store, image)))
    assert not store.exists(named)


def test_content_that_is_not_there_is_no_empty_content(store: Store) -> None:
    absent = described(b"never pushed")
    assert not store.exists(absent)
    with pytest.raises(ImmutagError):
        fetched(store, absent)


@pytest.mark.parametrize("more", [-1, 1])
def test_content_of_another_size_than_described_is_a_mismatch(store: Store, more: int) -> None:
    pushed = push(store, b"x" * 1000)
    with pytest.raises(DigestMismatch):
        fetched(store, Descriptor(pushed.media_type, pushed.digest, pushed.size_bytes + more))


def test_a_tag_that_is_not_there_is_none(store: Store) -> None:
    push_image(store, b"layer")
    assert store.resolve(SHA) is None


@pytest.mark.parametrize("media_type", [IMAGE_MANIFEST, DOCKER_MANIFEST])
def test_a_tag_gives_back_what_it_was_pointed_at(store: Store, media_type: str) -> None:
    image = push_image(store, b"layer", media_type=media_type)
    store.tag(image, SHA)
    store.tag(image, SHA)
    assert store.resolve(SHA) == image
    assert store.resolve(OTHER) is None


def test_a_commit_and_its_short_tag_name_one_image(store: Store) -> None:
    image = push_image(store, b"layer")
    store.tag(image, SHA)
    store.tag(image, SHA.short)
    assert store.resolve(SHA.short) == store.resolve(SHA) == image


def test_a_manifest_that_is_not_there_gets_no_tag(store: Store) -> None:
    push_image(store, b"layer")
    with pytest.raises(ImmutagError):
        store.tag(described(b'{"schemaVersion": 2}', IMAGE_MANIFEST), SHA)
    assert store.resolve(SHA) is None


def test_an_index_is_tagged_and_its_images_are_found(store: Store) -> None:
    images = [push_image(store, b"1"), push_image(store, b"2")]
    index = push_index(store, *images)
    store.tag(index, SHA)
    assert store.resolve(SHA) == index
    assert digests(store, index) == {index.digest, *(image.digest for image in images)}


def test_threads_push_and_fetch_at_once(store: Store) -> None:
    contents = [os.urandom(200_000) for _ in range(12)]
    results: list[bytes] = []

    def work(mine: list[bytes]) -> None:
        results.extend(fetched(store, push(store, content)) for content in mine)

    threads = [threading.Thread(target=work, args=(contents[at::4],)) for at in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == sorted(contents)


def test_what_is_copied_in_and_out_is_the_same(store: Store, tmp_path: Path) -> None:
    given = Layout.create(tmp_path / "given")
    root = push_index(given, push_image(given, os.urandom(2_000_000), b"small"), push_image(given, b"other"))
    taken = Layout.create(tmp_path / "taken")
    assert copy(given, store, root) > 2_000_000
    assert copy(given, store, root) == 0
    copy(store, taken, root)
    assert blobs(taken.folder) == blobs(given.folder)


def blobs(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "blobs" / "sha256").iterdir()}
