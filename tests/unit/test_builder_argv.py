"""What the builders are told, as lists; and what asks for a cache, refused by name."""

from pathlib import Path

import pytest

from immutag.build import BuildRequest
from immutag.build.buildah import Buildah
from immutag.build.buildah import argv as buildah_argv
from immutag.build.buildkit import Docker, Way, save_argv
from immutag.build.buildkit import argv as docker_argv
from immutag.build.cache import refuse_cache_build_args, refuse_cache_mounts
from immutag.core.errors import ConfigInvalid, PolicyViolation
from immutag.core.values import Platform

AMD64, ARM64 = Platform.parse("linux/amd64"), Platform.parse("linux/arm64")
REQUEST = BuildRequest(
    context=Path("/w/context"),
    dockerfile=Path("/w/context/Dockerfile"),
    args={"VERSION": "1 2", "SOURCE_DATE_EPOCH": "7"},
    platforms=(AMD64,),
    labels={"org.opencontainers.image.revision": "a" * 40},
    epoch_s=1_700_000_000,
    timeout_s=60,
)


@pytest.mark.parametrize("program", ["buildah", "podman"])
def test_buildah_and_podman_build_into_the_layout(program: str) -> None:
    extra = ("--network=host",)
    assert buildah_argv(program, REQUEST, ARM64, layout=Path("/w/layout"), mark="immutag-1", extra=extra) == [
        program,
        "build",
        "--no-cache",
        "--layers=false",
        "--force-rm",
        "--format=oci",
        "--disable-compression=false",
        "--identity-label=false",
        "--timestamp=1700000000",
        "--platform=linux/arm64",
        "--secret=id=immutag-1,src=/dev/null",
        f"--label=org.opencontainers.image.revision={'a' * 40}",
        f"--annotation=org.opencontainers.image.revision={'a' * 40}",
        "--build-arg=VERSION=1 2",
        "--build-arg=SOURCE_DATE_EPOCH=7",
        "--build-arg=SOURCE_DATE_EPOCH=1700000000",
        "--network=host",
        "--file=context/Dockerfile",
        "--tag=oci:layout:image",
        "context",
    ]


METADATA = "--metadata-file=metadata.json"
DOCKER_REST = [
    "--no-cache",
    "--pull",
    "--progress=plain",
    "--platform=linux/amd64",
    f"--label=org.opencontainers.image.revision={'a' * 40}",
    "--build-arg=VERSION=1 2",
    "--build-arg=SOURCE_DATE_EPOCH=7",
    "--build-arg=SOURCE_DATE_EPOCH=1700000000",
    "--network=host",
    "--file=/w/context/Dockerfile",
]


@pytest.mark.parametrize(
    ("how", "start", "end"),
    [
        (
            Way.LAYOUT,
            ["docker", "buildx", "build", "--provenance=false", "--sbom=false", METADATA],
            "--output=type=oci,tar=false,dest=layout,rewrite-timestamp=true",
        ),
        (
            Way.BUILDX,
            ["docker", "buildx", "build", "--provenance=false", "--sbom=false", METADATA, "--load"],
            "--tag=immutag-build:1",
        ),
        (Way.INTEGRATED, ["docker", "build"], "--tag=immutag-build:1"),
    ],
)
def test_docker_builds_as_its_version_allows(how: Way, start: list[str], end: str) -> None:
    found = docker_argv(how, REQUEST, layout="layout", name="immutag-build:1", extra=("--network=host",))
    assert found == [*start, *DOCKER_REST, end, "/w/context"]


def test_dockers_image_is_saved_by_its_name() -> None:
    assert save_argv("immutag-build:1", "image.tar") == [
        "docker", "save", "--output", "image.tar", "immutag-build:1",
    ]  # fmt: skip


@pytest.mark.parametrize("make", [Buildah, lambda extra: Buildah("podman", extra), Docker])
@pytest.mark.parametrize(
    "argument",
    [
        "--cache-from=example.com/cache", "--cache-from", "--cache-to=type=inline", "--cache-ttl=1h",
        "--layers", "type=cache,target=/x",
        "--layers=true", "--no-cache=false", "--no-cache-filter=x", "--mount=type=cache,target=/x",
        "--provenance=true", "--provenance", "--sbom=true", "--attest=type=sbom",
    ],
)  # fmt: skip
def test_a_builder_that_would_cache_or_attest_is_not_made(make: type[Buildah], argument: str) -> None:
    with pytest.raises(PolicyViolation) as refused:
        make(extra=("--network=host", argument))
    assert argument in refused.value.found


@pytest.mark.parametrize(
    "argument",
    [
        "--tag=x",
        "-tx",
        "-f=x",
        "-f/etc/Dockerfile",
        "-t",
        "--output=x",
        "--platform=linux/arm64",
        "--push",
        "-f",
    ],
)
def test_an_argument_that_is_immutags_own_is_refused(argument: str) -> None:
    with pytest.raises(ConfigInvalid):
        Buildah(extra=(argument,))


def test_a_cache_inside_the_image_is_refused() -> None:
    refuse_cache_build_args({"VERSION": "1"})
    with pytest.raises(PolicyViolation):
        refuse_cache_build_args({"BUILDKIT_INLINE_CACHE": "1"})


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("FROM scratch\nRUN --mount=type=cache,target=/var/cache make\n", 2),
        ("FROM scratch\n\n# comment\n  run --mount=target=/x,type=cache make\n", 4),
        (
            "FROM scratch\nRUN --network=none --mount=type=bind --mount=type=cache,target=/x make\n",
            2,
        ),
        ("FROM scratch\nRUN \\\n  # a comment between\n\n  --mount=type=cache,target=/x \\\n  make\n", 2),
        ('FROM scratch\nRUN --mount="type=cache,target=/x" make\n', 2),
        ('FROM scratch\nRUN --mount=target="/a b",type=cache make\n', 2),
        ('FROM scratch\nRUN --mount=type="cache",target=/x make\n', 2),
        ("FROM scratch\nRUN --mount=TYPE=Cache,target=/x make\n", 2),
        ("FROM scratch\nARG T=cache\nRUN --mount=type=$T,target=/x make\n", 3),
        ("FROM scratch\nONBUILD RUN --mount=type=cache,target=/x make\n", 2),
        ("# escape=`\nFROM scratch\nRUN `\n --mount=type=cache,target=/x make\n", 3),
        ("\ufeffFROM scratch\r\nRUN --mount=type=cache,target=/x make\r\n", 2),
        ("FROM scratch\nRUN <<EOF\nRUN --mount=type=cache,target=/x make\nEOF\n", 3),
        ("FROM scratch\nRUN --mount=type=cache,target=/x \\", 2),
        ("FROM scratch\nRUN\f--mount=type=cache,target=/x make\n", 2),
        ("FROM scratch\nRUN\v--mount=type=cache,target=/x make\n", 2),
        ("FROM scratch\nRUN\r--mount=type=cache,target=/x make\n", 2),
        ("FROM scratch\nRUN --mou\\\nnt=type=cache,target=/x make\n", 2),
        ("FROM scratch\nRUN --mount=type=ca\\\nche,target=/x make\n", 2),
        ("FROM scratch\nRUN --mount=ty\\pe=cache,target=/x make\n", 2),
        ("FROM scratch\nRUN --m\\ount=type=cache,target=/x make\n", 2),
        ("# escape=`\nFROM scratch\nRUN --mount=ty`pe=cache,target=/x make\n", 3),
        ('FROM scratch\nRUN --mount=t"y"pe=cache,target=/x make\n', 2),
        ('FROM scratch\nRUN "--mount=type=cache,target=/x" make\n', 2),
        ("FROM scratch\nARG M=type=cache,target=/x\nRUN --mount=$M make\n", 3),
        ("FROM scratch\nRUN --mount=target=/x,${M} make\n", 2),
    ],
)
def test_a_cache_mount_is_refused_with_its_line(tmp_path: Path, text: str, line: int) -> None:
    dockerfile = tmp_path / "Dockerfile"
    dockerfile.write_bytes(text.encode())
    with pytest.raises(PolicyViolation) as refused:
        refuse_cache_mounts(dockerfile, tmp_path)
    assert f"Dockerfile, line {line}:" in refused.value.found


@pytest.mark.parametrize(
    "text",
    [
        "FROM scratch\nCOPY . /\nRUN make\n",
        "FROM scratch\nRUN --mount=type=bind,target=/x --mount=type=secret,id=a --mount=type=ssh make\n",
        "FROM scratch\nRUN --mount=target=/x make --type=fast\n",
        "FROM scratch\nRUN --mount=target=/x,source=$X,id=a make $Y\n",
        "FROM scratch\nRUN make \\\n  --mounted\n",
        "FROM scratch\n# RUN --mount=type=cache,target=/x make\n",
        'FROM scratch\nLABEL how="--mount=type=cache"\n',
        "",
    ],
)
def test_a_dockerfile_without_a_cache_is_taken(tmp_path: Path, text: str) -> None:
    dockerfile = tmp_path / "Dockerfile"
    dockerfile.write_text(text)
    refuse_cache_mounts(dockerfile, tmp_path)


def test_a_dockerfile_that_is_not_in_the_commit_is_refused(tmp_path: Path) -> None:
    context = tmp_path / "context"
    context.mkdir()
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    (context / "link").symlink_to("../Dockerfile")
    for name in ("link", "../Dockerfile", "none", "."):
        with pytest.raises(ConfigInvalid):
            refuse_cache_mounts(context / name, context)
