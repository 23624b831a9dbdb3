"""Builders with their own storage, and what they leave in it."""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from immutag.build import Builder, BuildRequest
from immutag.build.buildah import Buildah
from immutag.build.buildkit import Docker, way
from immutag.core.errors import ConfigInvalid
from immutag.core.values import Platform
from tests.parts.engines import Docker as Dockerd
from tests.parts.engines import Podman
from tests.parts.peers import Peer
from tests.parts.programs import MissingProgram, program

LABELS = {"org.opencontainers.image.revision": "a" * 40, "org.opencontainers.image.version": "a" * 40}
EPOCH_S = 1_700_000_000


@dataclass(slots=True)
class Bench:
    """A builder, and the programs that say what it left behind."""

    builder: Builder
    engine: Peer
    before: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.before = self._there()

    def left(self) -> list[str]:
        """Images and working containers that came to the builder's storage, which other tests use too."""
        return [each for each in self._there() if each not in self.before]

    def _there(self) -> list[str]:
        if self.builder.name == "docker":
            return [*self.engine("images", "--all", "--quiet").split(), *self.engine("ps", "-aq").split()]
        images = self.engine("images", "--all", "--quiet").split()
        return [*images, *self.engine("ps", "--all", "--external", "--quiet").split()]


@dataclass(slots=True)
class Progress:
    """A report that remembers; `stop_at` raises an interruption at the line that holds it."""

    lines: list[str] = field(default_factory=list)
    stop_at: str | None = None

    def step(self, text: str) -> None:
        self.lines.append(text)

    def warning(self, text: str) -> None:
        self.lines.append(text)

    def output(self, line: str) -> None:
        self.lines.append(line)
        if self.stop_at and self.stop_at in line:
            raise KeyboardInterrupt

    def transfer(self, label: str, done_bytes: int, total_bytes: int) -> None:
        pass


def bench(name: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """The builder of that name, on storage of the tests' own."""
    if name != "docker":
        podman: Podman = request.getfixturevalue("podman")
        for variable, value in podman.env.items():
            monkeypatch.setenv(variable, value)
        return Bench(Buildah(name), podman)
    dockerd: Dockerd = request.getfixturevalue("dockerd")
    monkeypatch.setenv("DOCKER_HOST", dockerd.env["DOCKER_HOST"])
    _put_buildkit_first(monkeypatch)
    return Bench(Docker(("--network=host",)), dockerd)


def _put_buildkit_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine may have several docker clients, and the first may lack BuildKit."""
    folders = os.get_exec_path()
    for folder in folders:
        if shutil.which("docker", path=folder):
            monkeypatch.setenv("PATH", os.pathsep.join([folder, *folders]))
            try:
                way()
            except ConfigInvalid:
                continue
            return
    raise MissingProgram("no docker client with BuildKit: scripts/test-parts installs docker.io")


def build_request(
    folder: Path,
    dockerfile: str,
    *,
    args: Mapping[str, str] | None = None,
    platforms: tuple[str, ...] = ("linux/amd64",),
    timeout_s: float = 60,
) -> BuildRequest:
    """A context with a static busybox, and this Dockerfile after `FROM scratch`."""
    context = folder / "context"
    context.mkdir(exist_ok=True)
    shutil.copy(program("busybox"), context / "busybox")
    (context / "Dockerfile").write_text(f"FROM scratch\nCOPY busybox /bin/sh\n{dockerfile}")
    return BuildRequest(
        context=context,
        dockerfile=context / "Dockerfile",
        args=args or {},
        platforms=tuple(map(Platform.parse, platforms)),
        labels=LABELS,
        epoch_s=EPOCH_S,
        timeout_s=timeout_s,
    )
