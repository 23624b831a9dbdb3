"""What `--from` takes: layouts and archives that other tools wrote, and archives made to do harm."""

import errno
import gzip
import hashlib
import io
import json
import os
import tarfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from immutag.core.errors import BuildFailure, DigestMismatch, ImmutagError
from immutag.oci.annotate import image_says
from immutag.oci.archive import ingest
from immutag.oci.layout import Layout
from tests.parts import registries
from tests.parts.engines import Docker, Podman
from tests.parts.images import add, add_image, add_index, blob_path, descriptor, finish, tar_of
from tests.parts.peers import Crane, Peer
from tests.parts.programs import program


@pytest.fixture(scope="module")
def built(podman: Podman, tmp_path_factory: pytest.TempPathFactory) -> tuple[Peer, str]:
    """buildah, and the name of an image of two layers that it built."""
    context = tmp_path_factory.mktemp("context")
    (context / "one").write_bytes(b"1" * 3_000_000)
    (context / "two").write_bytes(b"2" * 100_000)
    (context / "Dockerfile").write_text("FROM scratch\nCOPY one /one\nCOPY two /two\nLABEL made.by=us\n")
    buildah = Peer(program("buildah"), podman.env)
    buildah("bud", "-q", "--isolation", "chroot", "--layers", "--timestamp", "1", "-t", "archived", context)
    return buildah, "localhost/archived"


def ids_of(layout: Layout, tmp_path: Path) -> tuple[str, list[str], list[str]]:
    """Image ID, the config's diff_ids, and the digests of the layers' contents, uncompressed by gzip."""
    manifest = json.loads(layout.manifest(layout.root()))
    config = blob_path(layout.folder, manifest["config"]).read_bytes()
    contents = [
        hashlib.sha256(gzip.decompress(blob_path(layout.folder, layer).read_bytes())).hexdigest()
        for layer in manifest["layers"]
    ]
    return (
        manifest["config"]["digest"],
        json.loads(config)["rootfs"]["diff_ids"],
        [f"sha256:{content}" for content in contents],
    )


def test_a_layout_by_buildah_keeps_its_digest(built: tuple[Peer, str], tmp_path: Path, skopeo: Peer) -> None:
    buildah, name = built
    buildah("push", "-q", "--digestfile", tmp_path / "digest", name, f"oci:{tmp_path / 'given'}:tag")
    root = ingest(tmp_path / "given", tmp_path / "ours")
    assert str(root.digest) == (tmp_path / "digest").read_text()
    assert Layout(tmp_path / "ours").root() == root
    assert json.loads(skopeo("inspect", f"oci:{tmp_path / 'ours'}"))["Digest"] == str(root.digest)
    assert image_says(Layout(tmp_path / "ours"), root)["made.by"] == {"us"}


def test_a_layout_is_linked_and_not_copied(built: tuple[Peer, str], tmp_path: Path) -> None:
    buildah, name = built
    buildah("push", "-q", name, f"oci:{tmp_path / 'given'}:tag")
    root = ingest(tmp_path / "given", tmp_path / "ours")
    layer = json.loads(Layout(tmp_path / "ours").manifest(root))["layers"][0]
    assert blob_path(tmp_path / "ours", layer).samefile(blob_path(tmp_path / "given", layer))
    assert ingest(tmp_path / "given", tmp_path / "ours") == root


def test_a_layout_on_another_file_system_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    image = add_image(tmp_path / "given", b"layer")
    monkeypatch.setattr("os.link", refuse)
    root = ingest(finish(tmp_path / "given", image), tmp_path / "ours")
    assert root == Layout(tmp_path / "ours").root() == descriptor(image)
    for ours in (tmp_path / "ours" / "blobs" / "sha256").iterdir():
        assert ours.read_bytes() == (tmp_path / "given" / "blobs" / "sha256" / ours.name).read_bytes()
    assert len(list((tmp_path / "ours" / "blobs" / "sha256").iterdir())) == 3


def test_a_layout_may_be_used_where_it_is(built: tuple[Peer, str], tmp_path: Path) -> None:
    buildah, name = built
    buildah("push", "-q", name, f"oci:{tmp_path / 'given'}:tag")
    before = (tmp_path / "given" / "index.json").read_bytes()
    root = ingest(tmp_path / "given", tmp_path / "given")
    assert root == ingest(tmp_path / "given", tmp_path / "ours")
    assert (tmp_path / "given" / "index.json").read_bytes() == before


@pytest.mark.parametrize("compressed", [False, True])
def test_an_oci_archive_by_skopeo_keeps_its_digest(
    built: tuple[Peer, str], tmp_path: Path, skopeo: Peer, compressed: bool
) -> None:
    buildah, name = built
    buildah("push", "-q", name, f"oci:{tmp_path / 'given'}:tag")
    archive = tmp_path / "archive.tar"
    skopeo("copy", "-q", f"oci:{tmp_path / 'given'}:tag", f"oci-archive:{archive}")
    if compressed:
        archive.write_bytes(gzip.compress(archive.read_bytes()))
    assert ingest(archive, tmp_path / "ours") == Layout(tmp_path / "given").root()
    assert Layout(tmp_path / "ours").root() == Layout(tmp_path / "given").root()


def test_docker_archives_of_one_image_are_one_image(
    built: tuple[Peer, str], tmp_path: Path, skopeo: Peer, podman: Podman, crane: Crane, dockerd: Docker
) -> None:
    """By skopeo, podman, docker and (with compressed layers) crane: the same config, the same contents."""
    buildah, name = built
    buildah("push", "-q", name, f"oci:{tmp_path / 'given'}:tag")
    expected = ids_of(Layout(tmp_path / "given"), tmp_path)
    skopeo("copy", "-q", f"oci:{tmp_path / 'given'}:tag", f"docker-archive:{tmp_path / 'skopeo.tar'}:a/b:c")
    podman("save", "-q", "--format", "docker-archive", "-o", tmp_path / "podman.tar", name)
    dockerd("load", "-i", tmp_path / "skopeo.tar")
    dockerd("save", "-o", tmp_path / "docker.tar", "a/b:c")
    roots = set()
    for tool in ("skopeo", "podman", "docker"):
        roots.add(ingest(tmp_path / f"{tool}.tar", tmp_path / tool))
        assert ids_of(Layout(tmp_path / tool), tmp_path) == expected
    assert len(roots) == 1
    assert expected[1] == expected[2]
    (tmp_path / "skopeo.tar.gz").write_bytes(gzip.compress((tmp_path / "skopeo.tar").read_bytes()))
    assert {ingest(tmp_path / "skopeo.tar.gz", tmp_path / "compressed")} == roots
    skopeo("copy", "-q", f"oci:{tmp_path / 'skopeo'}", f"dir:{tmp_path / 'read'}")  # it reads what we wrote


def test_compressed_layers_of_a_docker_archive_pass_untouched(
    tmp_path: Path, crane: Crane, registry2: registries.Registry
) -> None:
    repository = registry2.repository()
    (tmp_path / "layer.tar").write_bytes(tar_of("file", b"content" * 1000))
    crane("append", "-f", tmp_path / "layer.tar", "-t", f"{repository}:x")
    crane("pull", f"{repository}:x", tmp_path / "crane.tar")
    ingest(tmp_path / "crane.tar", tmp_path / "ours")
    layout = Layout(tmp_path / "ours")
    (layer,) = json.loads(layout.manifest(layout.root()))["layers"]
    assert layer["digest"] == crane.manifest(f"{repository}:x")["layers"][0]["digest"]


def test_several_images_in_an_archive_are_refused_with_their_names(
    built: tuple[Peer, str], tmp_path: Path, podman: Podman
) -> None:
    _, name = built
    podman("tag", name, "localhost/other")
    (tmp_path / "context").mkdir()
    podman("import", "-q", _tar_file(tmp_path / "root.tar", {"file": b"x"}), "localhost/second")
    podman("save", "-q", "-m", "--format", "docker-archive", "-o", tmp_path / "two.tar", name,
           "localhost/second")  # fmt: skip
    with pytest.raises(BuildFailure, match="several images") as refused:
        ingest(tmp_path / "two.tar", tmp_path / "ours")
    assert "localhost/second" in refused.value.found


# --- archives written by hand


def _tar_file(path: Path, files: Mapping[str, bytes], links: Mapping[str, tuple[bytes, str]] = {}) -> Path:
    """A tar of files, and of links (type, target)."""
    with tarfile.open(path, "w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        for name, (kind, target) in links.items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, target
            tar.addfile(member)
    return path


def _docker(layers: list[str], *contents: bytes) -> dict[str, bytes]:
    """manifest.json and config of a docker-archive whose layers have these names and contents."""
    diff_ids = [f"sha256:{hashlib.sha256(content).hexdigest()}" for content in contents]
    return {
        "manifest.json": json.dumps([{"Config": "c.json", "RepoTags": None, "Layers": layers}]).encode(),
        "c.json": json.dumps({"rootfs": {"type": "layers", "diff_ids": diff_ids}}).encode(),
    }


def _oci_files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "link", [(tarfile.SYMTYPE, "../a/layer.tar"), (tarfile.LNKTYPE, "a/layer.tar")], ids=["symbolic", "hard"]
)
def test_layers_may_be_links_to_each_other(tmp_path: Path, link: tuple[bytes, str]) -> None:
    layer = tar_of("file", b"content")
    files = {**_docker(["a/layer.tar", "b/layer.tar"], layer, layer), "a/layer.tar": layer}
    root = ingest(_tar_file(tmp_path / "a.tar", files, {"b/layer.tar": link}), tmp_path / "ours")
    first, second = json.loads(Layout(tmp_path / "ours").manifest(root))["layers"]
    assert first == second


@pytest.mark.parametrize(
    ("kind", "target"),
    [
        (tarfile.SYMTYPE, "/etc/hostname"),
        (tarfile.SYMTYPE, "../../../../etc/hostname"),
        (tarfile.LNKTYPE, "../etc/hostname"),
        (tarfile.SYMTYPE, "layer.tar"),
        (tarfile.SYMTYPE, "absent"),
        (tarfile.CHRTYPE, ""),
        (tarfile.FIFOTYPE, ""),
    ],
)
def test_a_layer_that_leads_out_of_the_archive_or_nowhere_is_refused(
    tmp_path: Path, kind: bytes, target: str
) -> None:
    files = _docker(["a/layer.tar"], b"")
    archive = _tar_file(tmp_path / "a.tar", files, {"a/layer.tar": (kind, target)})
    with pytest.raises(BuildFailure):
        ingest(archive, tmp_path / "ours")


@pytest.mark.parametrize("name", ["../escaped", "/tmp/escaped", "a/../../escaped"])
def test_a_name_that_leads_out_of_the_archive_is_refused(tmp_path: Path, name: str) -> None:
    archive = _tar_file(tmp_path / "a.tar", {name: b"x", **_docker([])})
    with pytest.raises(BuildFailure, match="leads out"):
        ingest(archive, tmp_path / "ours")
    assert not (tmp_path / "escaped").exists()


def test_a_name_that_stands_twice_is_refused(tmp_path: Path) -> None:
    archive = _tar_file(tmp_path / "a.tar", {**_docker([]), "./c.json": b"{}"})
    with pytest.raises(BuildFailure, match="twice"):
        ingest(archive, tmp_path / "ours")


def test_a_layer_with_other_content_than_the_config_says_is_a_mismatch(tmp_path: Path) -> None:
    files = {**_docker(["l.tar"], b"right"), "l.tar": b"wrong"}
    with pytest.raises(DigestMismatch):
        ingest(_tar_file(tmp_path / "a.tar", files), tmp_path / "ours")
    assert not list((tmp_path / "ours").rglob(".unfinished*"))


def test_more_layers_than_the_config_has_are_refused(tmp_path: Path) -> None:
    files = {**_docker(["l.tar", "l.tar"], b"one"), "l.tar": b"one"}
    with pytest.raises(BuildFailure, match="not those of its config"):
        ingest(_tar_file(tmp_path / "a.tar", files), tmp_path / "ours")


def test_a_layer_that_cannot_be_checked_is_refused_by_its_name(tmp_path: Path) -> None:
    files = {**_docker(["l.tar"], b"x"), "l.tar": b"\x28\xb5\x2f\xfd...."}
    with pytest.raises(BuildFailure, match="cannot be checked") as refused:
        ingest(_tar_file(tmp_path / "a.tar", files), tmp_path / "ours")
    assert refused.value.found == "zstd"


def test_an_index_whose_platform_is_not_there_is_refused(tmp_path: Path) -> None:
    here, gone = add_image(tmp_path, b"1"), add_image(tmp_path, b"2", architecture="arm64")
    blob_path(tmp_path, gone).unlink()
    given = finish(tmp_path, add_index(tmp_path, here, gone))
    with pytest.raises(BuildFailure, match="lacks content"):
        ingest(given, tmp_path / "ours")


def test_a_layer_hosted_elsewhere_is_refused(tmp_path: Path) -> None:
    layer = {**add(tmp_path / "given", b"layer"), "urls": ["https://example.com/layer"]}
    given = finish(tmp_path / "given", add_image(tmp_path / "given", layers=[layer]))
    with pytest.raises(BuildFailure, match="hosted elsewhere"):
        ingest(given, tmp_path / "ours")


@pytest.mark.parametrize("form", ["folder", "archive"])
def test_damage_anywhere_is_a_mismatch(tmp_path: Path, form: str) -> None:
    given = tmp_path / "given"
    root = add_index(given, add_image(given, b"one", b"two"), add_image(given, b"three"))
    finish(given, root)
    for path in sorted((given / "blobs" / "sha256").iterdir()):
        right = path.read_bytes()
        path.write_bytes(right[:-1] + bytes([right[-1] ^ 1]))
        source = given if form == "folder" else _tar_file(tmp_path / "a.tar", _oci_files(given))
        with pytest.raises(DigestMismatch):
            ingest(source, tmp_path / f"ours-{path.name}")
        path.write_bytes(right)
    assert ingest(given, tmp_path / "ours") == descriptor(root)


def test_an_expanding_archive_stops_at_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("immutag.oci.archive._EXPANDED_BYTES", 1 << 20)
    monkeypatch.setattr("immutag.oci.archive._EXPANDED_TIMES", 2)
    (tmp_path / "bomb").write_bytes(gzip.compress(bytes(50_000_000)))
    with pytest.raises(BuildFailure, match="gzip"):
        ingest(tmp_path / "bomb", tmp_path / "ours")


@pytest.mark.parametrize(
    "content", [b"", b"\x1f\x8b", b"\x1f\x8b\x08" + b"x" * 50, b"PK\x03\x04", b"x" * 5000]
)
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(BuildFailure):
        ingest(tmp_path / "file", tmp_path / "ours")


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BuildFailure, match="cannot be read"):
        ingest(tmp_path / "absent", tmp_path / "ours")


def test_a_pipe_is_no_file_and_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BuildFailure, match="cannot be read"):
        ingest(tmp_path / "pipe", tmp_path / "ours")


FUZZ = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)


@FUZZ
@given(data=st.data())
def test_a_damaged_archive_is_read_or_refused(data: st.DataObject, tmp_path: Path) -> None:
    """Bytes of headers and documents changed anywhere: nothing but an image or an ImmutagError comes out."""
    layer = tar_of("f", b"x")
    files = {**_docker(["l.tar", "m.tar"], layer, layer), "l.tar": layer}
    if data.draw(st.booleans()):
        finish(tmp_path / "given", add_image(tmp_path / "given", layer))
        files = _oci_files(tmp_path / "given")
    archive = _tar_file(tmp_path / "a.tar", files, {"m.tar": (tarfile.SYMTYPE, "l.tar")})
    content = bytearray(archive.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        _mend_checksums(content)
    archive.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    with suppress(ImmutagError):
        ingest(archive, tmp_path / "ours")


def _mend_checksums(content: bytearray) -> None:
    for at in range(0, len(content) - 511, 512):
        header = content[at : at + 512]
        if header[257:262] == b"ustar":
            header[148:156] = b" " * 8
            content[at + 148 : at + 156] = b"%06o\0 " % sum(header)


def test_a_tar_that_leads_round_in_circles_ends(tmp_path: Path) -> None:
    """A negative size in GNU's base-256, which once sent Python's tarfile back to the same header."""
    content = bytearray(_tar_file(tmp_path / "a.tar", {"manifest.json": b"[]"}).read_bytes())
    content[124:136] = b"\xff" * 10 + b"\xfe\x00"
    _mend_checksums(content)
    (tmp_path / "a.tar").write_bytes(content)
    started = time.monotonic()
    with pytest.raises(BuildFailure):
        ingest(tmp_path / "a.tar", tmp_path / "ours")
    assert time.monotonic() - started < 5
