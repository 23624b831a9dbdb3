"""Clean builds with the real builders, and what skopeo says about what they gave."""

import json
import os
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from immutag.build.buildah import Buildah
from immutag.build.buildkit import Docker
from immutag.build.image import check_platforms, platforms_of
from immutag.build.select import builder
from immutag.core.errors import BuildFailure, ConfigInvalid, PolicyViolation
from immutag.core.values import Platform
from immutag.oci.layout import Layout
from tests.parts.builders import EPOCH_S, LABELS, Bench, Progress, bench, build_request
from tests.parts.engines import Podman
from tests.parts.programs import program

pytestmark = pytest.mark.slow

COPY_ONLY = 'CMD ["/bin/sh"]\n'


@pytest.fixture(params=["buildah", "podman", "docker"])
def built_by(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return bench(request.param, request, monkeypatch)


@pytest.fixture(params=["buildah", "podman"])
def reproducible(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Those that can give the same bytes twice; docker's engine keeps the times of the build."""
    return bench(request.param, request, monkeypatch)


def _build(bench: Bench, folder: Path, dockerfile: str, name: str = "one", **more: Any) -> tuple[Path, str]:
    """The layout, and the root's digest."""
    work = folder / name
    work.mkdir()
    request = build_request(folder, dockerfile, **more)
    root = bench.builder.build(request, layout=work / "layout", log=work / "log", report=Progress())
    assert Layout(work / "layout").root() == root
    return work / "layout", str(root.digest)


def _skopeo(*arguments: object) -> dict[str, Any]:
    done = subprocess.run(
        [program("skopeo"), *map(str, arguments)], capture_output=True, check=True, timeout=60
    )
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def _file(layout: Path, manifest: dict[str, Any], name: str) -> bytes:
    """The file of the topmost layer that holds it."""
    for layer in reversed(manifest["layers"]):
        with tarfile.open(layout / "blobs" / "sha256" / layer["digest"].removeprefix("sha256:")) as archive:
            for member in archive.getmembers():
                if member.name.lstrip("./") == name and (content := archive.extractfile(member)):
                    return content.read()
    raise AssertionError(f"no layer holds {name}")


def test_an_image_says_which_commit_it_is_and_nothing_is_left(built_by: Bench, tmp_path: Path) -> None:
    before = built_by.left()
    layout, digest = _build(built_by, tmp_path, COPY_ONLY)
    assert built_by.left() == before
    found = _skopeo("inspect", f"oci:{layout}")
    assert found["Digest"] == digest
    assert (found["Os"], found["Architecture"]) == ("linux", "amd64")
    assert LABELS.items() <= found["Labels"].items()
    manifest = _skopeo("inspect", "--raw", f"oci:{layout}")
    assert LABELS.items() <= manifest["annotations"].items()
    assert manifest["mediaType"] == "application/vnd.oci.image.manifest.v1+json"
    assert sorted(path.name for path in layout.parent.iterdir() if any(path.glob("*"))) == ["layout"]


def test_what_runs_in_a_build_gets_the_commits_time_and_the_arguments(
    built_by: Bench, tmp_path: Path
) -> None:
    dockerfile = "ARG SOURCE_DATE_EPOCH\nARG WORD\nRUN echo $SOURCE_DATE_EPOCH $WORD > /said\n"
    layout, _ = _build(built_by, tmp_path, dockerfile, args={"WORD": "a b", "SOURCE_DATE_EPOCH": "1"})
    manifest = _skopeo("inspect", "--raw", f"oci:{layout}")
    assert _file(layout, manifest, "said") == f"{EPOCH_S} a b\n".encode()


def test_no_step_comes_from_a_cache(built_by: Bench, tmp_path: Path) -> None:
    dockerfile = "RUN cat /proc/sys/kernel/random/uuid > /id\n"
    seen = set()
    for name in ("one", "two"):
        layout, _ = _build(built_by, tmp_path, dockerfile, name)
        seen.add(_file(layout, _skopeo("inspect", "--raw", f"oci:{layout}"), "id"))
    assert len(seen) == 2


def test_the_same_commit_gives_the_same_bytes(reproducible: Bench, tmp_path: Path) -> None:
    dockerfile = "RUN mkdir /d && echo hello > /d/file\n"
    _, first = _build(reproducible, tmp_path, dockerfile, "one")
    os.utime(tmp_path / "context" / "busybox", (1, 1))
    _, second = _build(reproducible, tmp_path, dockerfile, "two")
    assert first == second


def test_several_platforms_become_one_index(reproducible: Bench, tmp_path: Path) -> None:
    platforms = ("linux/amd64", "linux/arm64")
    layout, _ = _build(reproducible, tmp_path, COPY_ONLY, platforms=platforms)
    index = _skopeo("inspect", "--raw", f"oci:{layout}")
    assert index["mediaType"] == "application/vnd.oci.image.index.v1+json"
    assert LABELS.items() <= index["annotations"].items()
    named = [each["platform"] for each in index["manifests"]]
    assert named == [{"architecture": "amd64", "os": "linux"}, {"architecture": "arm64", "os": "linux"}]
    arm = _skopeo("--override-arch", "arm64", "inspect", f"oci:{layout}")
    assert arm["Architecture"] == "arm64"
    assert list(platforms_of(Layout(layout), Layout(layout).root())) == list(map(Platform.parse, platforms))
    assert reproducible.left() == []


def test_an_image_for_another_platform_is_no_build(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    layout, _ = _build(bench("buildah", request, monkeypatch), tmp_path, COPY_ONLY)
    with pytest.raises(BuildFailure, match="another platform"):
        check_platforms(Layout(layout), Layout(layout).root(), [Platform.parse("linux/arm64")])


def test_docker_cannot_build_several_platforms_into_its_engine(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(ConfigInvalid, match="several platforms"):
        _build(
            bench("docker", request, monkeypatch),
            tmp_path,
            COPY_ONLY,
            platforms=("linux/amd64", "linux/arm64"),
        )


def test_somebody_elses_name_for_the_same_image_stays(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """docker gives two names to one image when two builds are equal; only our name goes."""
    docker = bench("docker", request, monkeypatch)
    layout, _ = _build(docker, tmp_path, COPY_ONLY)
    archive = tmp_path / "theirs.tar"
    theirs = "theirs/image:1"
    subprocess.run(
        [program("skopeo"), "copy", "--quiet", f"oci:{layout}", f"docker-archive:{archive}:{theirs}"],
        check=True, timeout=60,
    )  # fmt: skip
    before = docker.engine("images", "--format", "{{.Repository}}:{{.Tag}}").split()
    docker.engine("load", "--quiet", "--input", archive)
    try:
        _build(docker, tmp_path, COPY_ONLY, "two")
        names = docker.engine("images", "--format", "{{.Repository}}:{{.Tag}}").split()
        assert [name for name in names if name not in before] == [theirs]
    finally:
        docker.engine("rmi", theirs)


def test_a_cache_mount_stops_the_build_before_it_begins(built_by: Bench, tmp_path: Path) -> None:
    with pytest.raises(PolicyViolation, match="a cache"):
        _build(built_by, tmp_path, "RUN --mount=type=cache,target=/var/cache echo hello\n")
    assert not (tmp_path / "one" / "log").exists()


def test_a_path_with_a_colon_and_a_comma_is_a_path(built_by: Bench, tmp_path: Path) -> None:
    odd = tmp_path / "a:b,c=d e"
    odd.mkdir()
    layout, digest = _build(built_by, odd, COPY_ONLY)
    assert (layout / "blobs" / "sha256" / digest.removeprefix("sha256:")).exists()


def test_auto_is_the_first_builder_that_works(
    podman: Podman, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def only(*names: str) -> None:
        monkeypatch.setenv("PATH", str(tmp_path / "-".join(["bin", *names])))
        folder = tmp_path / "-".join(["bin", *names])
        folder.mkdir()
        for name in names:
            (folder / name).symlink_to(found[name])

    found = {name: program(name) for name in ("buildah", "podman", "docker")}
    only("buildah", "podman", "docker")
    assert builder("auto").name == "buildah"
    assert isinstance(builder("docker"), Docker)
    only("podman", "docker")
    chosen = builder("auto")
    assert isinstance(chosen, Buildah)
    assert chosen.name == "podman"
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    only("docker")
    with pytest.raises(ConfigInvalid, match="no builder works"):
        builder("auto")
    with pytest.raises(ConfigInvalid) as refused:
        builder("buildah")
    assert refused.value.remedy == "apt-get install buildah"


def test_a_docker_without_an_engine_is_said_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    work = tmp_path / "work"
    work.mkdir()
    with pytest.raises(ConfigInvalid) as refused:
        Docker().build(
            build_request(tmp_path, COPY_ONLY), layout=work / "layout", log=work / "log", report=Progress()
        )
    assert refused.value.remedy
