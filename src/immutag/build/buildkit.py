"""Builds with docker's BuildKit: into a layout where its driver can, or else through the engine (DR-002)."""

import secrets
from collections.abc import Mapping, Sequence
from enum import Enum
from functools import partial
from pathlib import Path
from typing import assert_never

from immutag import process
from immutag.build import BuildRequest
from immutag.build.cache import refuse_cache_arguments, refuse_cache_build_args, refuse_cache_mounts
from immutag.build.image import check_platforms
from immutag.build.metadata import base_annotations
from immutag.build.running import missing, run_builder
from immutag.core.dockerfile import changes_bases
from immutag.core.errors import ConfigInvalid
from immutag.core.report import Report
from immutag.core.values import shown
from immutag.oci import Descriptor
from immutag.oci.annotate import with_annotations
from immutag.oci.archive import ingest
from immutag.oci.layout import Layout

_ASK_S = 10.0
_CLEAN_UP_S = 20.0
_SAVE_S = 600.0
_METADATA = "metadata.json"
_BUILDX = (
    "docker", "buildx", "build", "--provenance=false", "--sbom=false", f"--metadata-file={_METADATA}",
)  # fmt: skip


class Way(Enum):
    """How this docker builds with BuildKit."""

    LAYOUT = "a buildx driver that writes a layout"
    BUILDX = "buildx into the engine"
    INTEGRATED = "BuildKit inside docker before 23"


class Docker:
    """The program `docker`. `extra` are the configured arguments of every build."""

    name = "docker"

    def __init__(self, extra: Sequence[str] = ()) -> None:
        refuse_cache_arguments(extra)
        self._extra = tuple(extra)

    def build(self, request: BuildRequest, *, layout: Path, log: Path, report: Report) -> Descriptor:
        """One build for all platforms; the engine can hold an image of only one."""
        refuse_cache_build_args(request.args)
        refuse_cache_mounts(request.dockerfile, request.context)
        how = way(self._extra)
        if how is not Way.LAYOUT and len(request.platforms) != 1:
            raise ConfigInvalid(
                "this docker cannot build for several platforms at once",
                expected="a buildx builder with another driver than the engine's own",
                found=how.value,
                remedy="docker buildx create --use --driver docker-container",
            )
        name = f"immutag-build:{secrets.token_hex(8)}"
        run = partial(
            run_builder, cwd=layout.parent, log=log, report=report, env=_environment(request.epoch_s)
        )
        try:
            run(
                argv(how, request, layout=layout.name, name=name, extra=self._extra),
                timeout_s=request.timeout_s,
            )
            if how is not Way.LAYOUT:
                archive = layout.parent / "image.tar"
                run(save_argv(name, archive.name), timeout_s=_SAVE_S)
                ingest(archive, layout, report=report)
                archive.unlink()
        finally:
            if how is not Way.LAYOUT:  # only the name goes, and the image with its last name
                process.run(["docker", "rmi", name], timeout_s=_CLEAN_UP_S)
        ours = Layout(layout)
        root = with_annotations(ours, ours.root(), {**request.labels, **self._base(request, layout)})
        check_platforms(ours, root, request.platforms)
        return root

    def _base(self, request: BuildRequest, layout: Path) -> Mapping[str, str]:
        """The annotations that name the base image, as buildx reports it."""
        metadata = layout.parent / _METADATA
        if changes_bases(self._extra):
            return {}
        found = base_annotations(metadata, request.dockerfile.read_text(errors="replace"))
        metadata.unlink(missing_ok=True)
        return found


def argv(how: Way, request: BuildRequest, *, layout: str, name: str, extra: Sequence[str] = ()) -> list[str]:
    """The build's command, run in the layout's parent folder, since a `,` in a path would end it."""
    match how:
        case Way.LAYOUT:
            start = [*_BUILDX]
            output = f"--output=type=oci,tar=false,dest={layout},rewrite-timestamp=true"
        case Way.BUILDX:
            start = [*_BUILDX, "--load"]
            output = f"--tag={name}"
        case Way.INTEGRATED:
            start = ["docker", "build"]
            output = f"--tag={name}"
        case _:
            assert_never(how)
    return [
        *start,
        "--no-cache",
        "--pull",
        "--progress=plain",
        f"--platform={','.join(map(str, request.platforms))}",
        *(f"--label={key}={value}" for key, value in request.labels.items()),
        *(f"--build-arg={key}={value}" for key, value in request.args.items()),
        f"--build-arg=SOURCE_DATE_EPOCH={request.epoch_s}",
        *extra,
        f"--file={request.dockerfile}",
        output,
        str(request.context),
    ]


def _environment(epoch_s: int) -> dict[str, str]:
    return {
        "DOCKER_BUILDKIT": "1",
        "BUILDX_NO_DEFAULT_ATTESTATIONS": "1",
        "SOURCE_DATE_EPOCH": str(epoch_s),
    }


def save_argv(name: str, archive: str) -> list[str]:
    """The command that writes the engine's image into a docker-archive."""
    return ["docker", "save", "--output", archive, name]


def way(extra: Sequence[str] = ()) -> Way:
    """How this docker builds. Raises ConfigInvalid where it is missing, or has only the old builder."""
    inspected = _ask("buildx", "inspect", *_builder_named(extra))
    if inspected.ok:
        drivers = [line.split()[1] for line in inspected.text.splitlines() if line.startswith("Driver:")]
        return Way.BUILDX if drivers == ["docker"] else Way.LAYOUT
    version = _ask("version", "--format", "{{.Client.Version}} {{.Server.Version}}")
    if not version.ok:
        raise ConfigInvalid(
            "docker's engine does not answer",
            expected="an engine at DOCKER_HOST or docker's current context",
            found=shown(version.tail(3)),
            remedy="systemctl start docker, or set builder in [build] of immutag.toml",
        )
    major = version.text.partition(".")[0]
    if not major.isdecimal() or int(major) >= 23:
        raise ConfigInvalid(
            "this docker has no BuildKit",
            expected="the buildx plugin (docker since 23 needs it)",
            found=f"docker {shown(version.text)}, docker buildx: {shown(inspected.tail(1))}",
            remedy="apt-get install docker-buildx (docker-buildx-plugin from docker's own packages)",
        )
    return Way.INTEGRATED


def engine_answers() -> bool:
    """Whether there is a docker engine to build with."""
    return _ask("version", "--format", "{{.Server.Version}}").ok


def _builder_named(extra: Sequence[str]) -> list[str]:
    for at, argument in enumerate(extra):
        name, given, value = argument.partition("=")
        if name == "--builder":
            return [value] if given else list(extra[at + 1 : at + 2])
    return []


def _ask(*arguments: str) -> process.Finished:
    try:
        return process.run(["docker", *arguments], timeout_s=_ASK_S)
    except FileNotFoundError:
        raise missing("docker") from None
