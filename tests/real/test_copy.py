"""Copying between layouts and registries, with other clients saying what arrived."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from immutag.core.errors import BuildFailure, DigestMismatch, ImmutagError
from immutag.core.values import Repository
from immutag.oci import Descriptor
from immutag.oci.content import digest_of
from immutag.oci.copy import copy, digests
from immutag.oci.http import Http
from immutag.oci.layout import Layout
from immutag.oci.registry import Registry
from immutag.oci.session import Limits
from tests.parts import registries
from tests.parts.images import GZIPPED_LAYER, add, add_image, add_index, blob_path, descriptor, finish, tar_of
from tests.parts.peers import Crane, Peer
from tests.parts.processes import free_port

Open = Callable[[Repository], Registry]


@pytest.fixture
def opened() -> Iterator[Open]:
    http = Http(environ={})
    yield lambda repository: Registry(repository, http=http)
    http.close()


class Told:
    """A report that remembers."""

    def __init__(self) -> None:
        self.transfers: list[tuple[int, int]] = []

    def step(self, text: str) -> None: ...

    def warning(self, text: str) -> None: ...

    def output(self, line: str) -> None: ...

    def transfer(self, label: str, done_bytes: int, total_bytes: int) -> None:
        self.transfers.append((done_bytes, total_bytes))


def image(folder: Path, *contents: bytes, **fields: Any) -> tuple[Layout, Descriptor]:
    layers = [tar_of(f"file{at}", content) for at, content in enumerate(contents)]
    root = add_image(folder, *layers, layer_type=GZIPPED_LAYER, **fields)
    return Layout(finish(folder, root)), descriptor(root)


def test_other_clients_take_what_was_copied_for_an_image(
    tmp_path: Path, registry2: registries.Registry, opened: Open, crane: Crane, skopeo: Peer
) -> None:
    repository = registry2.repository()
    layout, root = image(tmp_path, os.urandom(3_000_000), b"small", labels={"a": "b"})
    copy(layout, opened(repository), root)
    reference = f"{repository}@{root.digest}"
    assert crane.digest(reference) == str(root.digest)
    crane("validate", "--remote", reference)
    said = json.loads(skopeo("inspect", "--no-tags", "--tls-verify=false", f"docker://{reference}"))
    assert (said["Digest"], said["Labels"]) == (str(root.digest), {"a": "b"})


def test_leaves_come_first_and_the_root_last(
    tmp_path: Path, registry2: registries.Registry, opened: Open
) -> None:
    repository = registry2.repository()
    children = [add_image(tmp_path, name.encode(), architecture=name) for name in ("amd64", "arm64")]
    root = add_index(tmp_path, *children)
    copy(Layout(finish(tmp_path, root)), opened(repository), descriptor(root))
    puts = [each for each in registry2.requests(repository.path) if each.method == "PUT"]
    assert [each.status for each in puts] == [201] * len(puts)
    kinds = ["manifest" if "/manifests/" in each.path else "blob" for each in puts]
    assert kinds == ["blob"] * 4 + ["manifest"] * 3
    assert puts[-1].path.endswith(root["digest"])


def test_copying_again_writes_nothing(tmp_path: Path, registry2: registries.Registry, opened: Open) -> None:
    repository = registry2.repository()
    layout, root = image(tmp_path, b"content")
    assert copy(layout, opened(repository), root) == sum(
        path.stat().st_size for path in (tmp_path / "blobs" / "sha256").iterdir()
    )
    before = len(registry2.requests(repository.path))
    assert copy(layout, opened(repository), root) == 0
    later = registry2.requests(repository.path)[before:]
    assert {each.method for each in later} == {"HEAD"}


def test_only_what_is_missing_is_moved(tmp_path: Path, registry3: registries.Registry, opened: Open) -> None:
    repository = registry3.repository()
    base = os.urandom(500_000)
    first, root = image(tmp_path / "first", base)
    copy(first, opened(repository), root)
    second, root = image(tmp_path / "second", base, b"new")
    assert copy(second, opened(repository), root) < 50_000


def test_a_blob_is_mounted_from_the_other_repository(
    tmp_path: Path, registry2: registries.Registry, opened: Open, crane: Crane
) -> None:
    staging, canonical = registry2.repository("staging"), registry2.repository("api")
    layout, root = image(tmp_path, os.urandom(500_000))
    copy(layout, opened(staging), root)
    assert copy(layout, opened(canonical), root, mount_from=staging) == root.size_bytes
    crane("validate", "--remote", f"{canonical}@{root.digest}")


def test_an_index_arrives_with_every_platform(
    tmp_path: Path, registry3: registries.Registry, opened: Open, crane: Crane
) -> None:
    repository = registry3.repository()
    children = [
        {**add_image(tmp_path, tar_of("f", name.encode()), architecture=name, layer_type=GZIPPED_LAYER),
         "platform": {"os": "linux", "architecture": name}}
        for name in ("amd64", "arm64")
    ]  # fmt: skip
    root = descriptor(add_index(tmp_path, *children))
    registry = opened(repository)
    copy(Layout(finish(tmp_path)), registry, root)
    for child in children:
        platform = f"linux/{child['platform']['architecture']}"
        reference = f"{repository}@{root.digest}"
        assert crane("digest", "--platform", platform, reference) == child["digest"]
        crane("validate", "--remote", reference, "--platform", platform)
    assert digests(registry, root) == {root.digest, *(descriptor(child).digest for child in children)}


def test_what_another_client_pushed_is_copied_into_a_layout(
    tmp_path: Path, registry_referrers: registries.Registry, opened: Open, crane: Crane, skopeo: Peer
) -> None:
    repository = registry_referrers.repository()
    (tmp_path / "layer.tar").write_bytes(tar_of("file", os.urandom(200_000)))
    crane("append", "-f", tmp_path / "layer.tar", "-t", f"{repository}:x", "--oci-empty-base")
    registry, layout = opened(repository), Layout.create(tmp_path / "layout")
    manifest = crane.raw("manifest", f"{repository}:x")
    root = registry.describe(digest_of(manifest))
    assert root is not None
    copy(registry, layout, root)
    layout.set_root(root)
    assert json.loads(skopeo("inspect", f"oci:{layout.folder}"))["Digest"] == str(root.digest)
    assert layout.manifest(layout.root()) == manifest


def test_from_one_registry_to_another(
    tmp_path: Path, registry2: registries.Registry, registry3: registries.Registry, opened: Open, crane: Crane
) -> None:
    here, there = registry2.repository(), registry3.repository()
    layout, root = image(tmp_path, os.urandom(2_500_000), b"small")
    copy(layout, opened(here), root)
    copy(opened(here), opened(there), root)
    crane("validate", "--remote", f"{there}@{root.digest}")


def test_a_layer_of_another_kind_passes_untouched(
    tmp_path: Path, registry2: registries.Registry, opened: Open, crane: Crane
) -> None:
    repository = registry2.repository()
    content = b"\x28\xb5\x2f\xfd" + os.urandom(1000)
    root = add_image(tmp_path, content, layer_type="application/vnd.oci.image.layer.v1.tar+zstd")
    copy(Layout(finish(tmp_path, root)), opened(repository), descriptor(root))
    (layer,) = crane.manifest(f"{repository}@{root['digest']}")["layers"]
    assert crane.raw("blob", f"{repository}@{layer['digest']}") == content


def test_an_image_without_layers_is_copied(
    tmp_path: Path, registry2: registries.Registry, opened: Open, crane: Crane
) -> None:
    repository = registry2.repository()
    layout, root = image(tmp_path)
    copy(layout, opened(repository), root)
    assert crane.manifest(f"{repository}@{root.digest}")["layers"] == []


def test_an_artifact_is_copied(
    tmp_path: Path, registry2: registries.Registry, opened: Open, oras: Peer
) -> None:
    repository = registry2.repository()
    empty = add(tmp_path, b"{}", "application/vnd.oci.empty.v1+json")
    root = add_image(tmp_path, b"an SBOM", config=empty, artifactType="application/spdx+json")
    copy(Layout(finish(tmp_path, root)), opened(repository), descriptor(root))
    found = json.loads(oras("manifest", "fetch", "--plain-http", f"{repository}@{root['digest']}"))
    assert found["artifactType"] == "application/spdx+json"


def test_a_layer_hosted_elsewhere_is_refused_before_anything_is_moved(
    tmp_path: Path, registry2: registries.Registry, opened: Open
) -> None:
    repository = registry2.repository()
    layer = {**add(tmp_path, b"layer"), "urls": ["https://example.com/layer"]}
    root = add_image(tmp_path, layers=[layer])
    with pytest.raises(BuildFailure, match="hosted elsewhere"):
        copy(Layout(finish(tmp_path, root)), opened(repository), descriptor(root))
    assert registry2.requests(repository.path) == []


def test_the_registry_finds_damage_that_nobody_hashed_before(
    tmp_path: Path, registry2: registries.Registry, opened: Open, crane: Crane
) -> None:
    repository = registry2.repository()
    layout, root = image(tmp_path, os.urandom(100_000))
    (layer,) = json.loads(layout.manifest(root))["layers"]
    path = blob_path(tmp_path, layer)
    path.write_bytes(bytes(reversed(path.read_bytes())))
    with pytest.raises(DigestMismatch):
        copy(layout, opened(repository), root)
    assert crane.run("manifest", f"{repository}@{root.digest}").returncode != 0


def test_the_first_error_stops_the_others_and_the_root_never_comes(
    tmp_path: Path, registry2: registries.Registry, opened: Open
) -> None:
    repository = registry2.repository()
    layout, root = image(tmp_path, *(os.urandom(2_000_000 + at) for at in range(12)))
    largest = max((tmp_path / "blobs" / "sha256").iterdir(), key=lambda path: path.stat().st_size)
    largest.unlink()
    with pytest.raises(BuildFailure, match="lacks content"):
        copy(layout, opened(repository), root, workers=2)
    puts = [each.path for each in registry2.requests(repository.path) if each.method == "PUT"]
    assert len(puts) < 12
    assert not any("/manifests/" in path for path in puts)


def test_a_registry_that_is_away_is_an_error_and_not_an_empty_one(tmp_path: Path, opened: Open) -> None:
    layout, root = image(tmp_path, b"content")
    http = Http(environ={})
    away = Registry(Repository(f"127.0.0.1:{free_port()}", "api"), http=http, limits=Limits(tries=1))
    with pytest.raises(ImmutagError) as failed:
        copy(layout, away, root)
    assert failed.value.code in ("PUSH_FAILURE", "REGISTRY_UNAVAILABLE")
    http.close()


def test_progress_ends_where_all_bytes_are(
    tmp_path: Path, registry2: registries.Registry, opened: Open
) -> None:
    told = Told()
    layout, root = image(tmp_path, os.urandom(3_000_000), os.urandom(1_000_000))
    copy(layout, opened(registry2.repository()), root, report=told)
    done, total = told.transfers[-1]
    assert done == total > 4_000_000
    assert len(told.transfers) > 8
    assert all(0 <= done <= total for done, total in told.transfers)


_PUSH = """
import resource, sys
from pathlib import Path
from immutag.core.values import Repository
from immutag.oci.copy import copy
from immutag.oci.http import Http
from immutag.oci.layout import Layout
from immutag.oci.registry import Registry
layout = Layout(Path(sys.argv[1]))
copy(layout, Registry(Repository.parse(sys.argv[2]), http=Http(environ={})), layout.root())
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
def test_memory_does_not_depend_on_the_size(tmp_path: Path, registry2: registries.Registry) -> None:
    def peak_kib(name: str, *sizes: int) -> int:
        image(tmp_path / name, *(os.urandom(size) for size in sizes))
        argv = [sys.executable, "-c", _PUSH, str(tmp_path / name), str(registry2.repository())]
        return int(subprocess.run(argv, capture_output=True, check=True, timeout=120).stdout)

    assert peak_kib("large", *[20_000_000] * 4) < peak_kib("small", *[20_000] * 4) + 8 * 1024
