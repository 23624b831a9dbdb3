"""Builds with buildah or podman, one builder in two programs: straight into a layout (DR-002)."""

import os
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from immutag import process
from immutag.build import BuildRequest
from immutag.build.cache import refuse_cache_arguments, refuse_cache_build_args, refuse_cache_mounts
from immutag.build.image import check_platforms, join
from immutag.build.running import run_builder
from immutag.core.errors import ConfigInvalid
from immutag.core.report import Report
from immutag.core.values import Platform, shown
from immutag.oci import Descriptor
from immutag.oci.annotate import with_annotations
from immutag.oci.layout import Layout

_CLEAN_UP_S = 20.0
# Newer ones take the variable as a second time stamp beside --timestamp, and refuse both.
_WITHOUT = ("SOURCE_DATE_EPOCH",)


class Buildah:
    """The program `buildah` or `podman`. `extra` are the configured arguments of every build."""

    def __init__(self, program: str = "buildah", extra: Sequence[str] = ()) -> None:
        refuse_cache_arguments(extra)
        self.name = program
        self._extra = tuple(extra)

    def build(self, request: BuildRequest, *, layout: Path, log: Path, report: Report) -> Descriptor:
        """One build for each platform, each into the same layout; the time limit is for all of them."""
        refuse_cache_build_args(request.args)
        refuse_cache_mounts(request.dockerfile, request.context)
        _refuse_template(request.dockerfile)
        temporary = layout.parent / "tmp"
        temporary.mkdir(exist_ok=True)
        deadline = time.monotonic() + request.timeout_s
        images = {}
        for platform in request.platforms:
            mark = f"immutag-{secrets.token_hex(8)}"
            (layout / "index.json").unlink(missing_ok=True)  # else it would name the image before as well
            with self._removing_containers(mark):
                run_builder(
                    argv(self.name, request, platform, layout=layout, mark=mark, extra=self._extra),
                    cwd=layout.parent,
                    timeout_s=deadline - time.monotonic(),
                    log=log,
                    report=report,
                    env={"TMPDIR": str(temporary)},
                    without=_WITHOUT,
                )
            images[platform] = Layout(layout).root()
        ours = Layout(layout)
        root = with_annotations(ours, join(ours, images), request.labels)
        check_platforms(ours, root, request.platforms)
        return root

    @contextmanager
    def _removing_containers(self, mark: str) -> Iterator[None]:
        """Remove the working containers of a build that was ended before it could do so itself."""
        try:
            yield
        except ConfigInvalid:  # it never started
            raise
        except BaseException:
            self._remove_containers(mark)
            raise

    def _remove_containers(self, mark: str) -> None:
        query = process.run(graph_root(self.name), timeout_s=_CLEAN_UP_S)
        left = [
            file.parent.parent.name
            for file in Path(query.text).glob("*-containers/*/userdata/buildah.json")
            if query.ok and mark in file.read_text(errors="replace")
        ]
        if left:
            process.run([self.name, "rm", *(["--force"] if self.name == "podman" else []), *left],
                        timeout_s=_CLEAN_UP_S)  # fmt: skip


def argv(
    program: str,
    request: BuildRequest,
    platform: Platform,
    *,
    layout: Path,
    mark: str,
    extra: Sequence[str] = (),
) -> list[str]:
    """The build's command, run in the layout's parent folder: a `:` or `,` in a full path would end it.

    `mark` names a secret that nothing uses: it is how the build's working containers can be told from
    those of somebody else.
    """
    return [
        program,
        "build",
        "--no-cache",
        "--layers=false",
        "--force-rm",
        "--format=oci",
        "--disable-compression=false",
        "--identity-label=false",
        f"--timestamp={request.epoch_s}",
        f"--platform={platform}",
        f"--secret=id={mark},src=/dev/null",
        *(f"--label={name}={value}" for name, value in request.labels.items()),
        *(f"--annotation={name}={value}" for name, value in request.labels.items()),
        *(f"--build-arg={name}={value}" for name, value in request.args.items()),
        f"--build-arg=SOURCE_DATE_EPOCH={request.epoch_s}",
        *extra,
        f"--file={os.path.relpath(request.dockerfile, layout.parent)}",
        f"--tag=oci:{layout.name}:image",
        os.path.relpath(request.context, layout.parent),
    ]


def _refuse_template(dockerfile: Path) -> None:
    """Raises ConfigInvalid for a name that has it put through the machine's C preprocessor: what comes out
    may hold any file of the machine, and ask for what nobody looked at."""
    if dockerfile.suffix == ".in":
        raise ConfigInvalid(
            "the Dockerfile would be made by a preprocessor first",
            expected="a Dockerfile as it is in the commit (DR-016)",
            found=shown(dockerfile.name),
            remedy="commit what the preprocessor gives, under a name without .in",
        )


def graph_root(program: str) -> list[str]:
    """The command that prints where the storage is."""
    return [
        program,
        "info",
        "--format",
        "{{.store.GraphRoot}}" if program == "buildah" else "{{.Store.GraphRoot}}",
    ]
