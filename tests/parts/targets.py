"""Real deployment targets, each with a platform that can be asked, behind the target's back, what it runs."""

import secrets
import shlex
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from immutag.core.deployment import Placement
from immutag.core.values import Digest, EnvironmentName, GitSha, ImageRef
from immutag.deploy import Target
from immutag.deploy.command import CommandTarget
from immutag.deploy.container import ContainerSettings, ContainerTarget
from immutag.deploy.engine import EngineName
from tests.parts.engines import Docker, Podman
from tests.parts.processes import free_port
from tests.parts.registries import Registry
from tests.parts.services import BOUNDED, Service, answer

FIRST, SECOND, BROKEN = GitSha("1" * 40), GitSha("2" * 40), GitSha("b" * 40)
ENVIRONMENT = EnvironmentName("production")
LIMIT_S = 60.0
_ANSWER_S = 10.0


@dataclass(frozen=True, slots=True)
class Releases:
    """Published releases of the service; `broken` ends as soon as it starts."""

    first: ImageRef
    second: ImageRef
    broken: ImageRef

    def image(self, sha: GitSha) -> ImageRef:
        return {FIRST: self.first, SECOND: self.second, BROKEN: self.broken}[sha]

    def placement(self, sha: GitSha, previous: GitSha | None = None) -> Placement:
        return Placement(
            self.image(sha), sha, ENVIRONMENT, self.image(previous) if previous else None, previous
        )


@pytest.fixture(scope="session")
def releases(service: Service, registry2: Registry) -> Releases:
    repository = registry2.repository("hello")
    fails = ("/bin/busybox", "sh", "-c", "echo the database is gone >&2; exit 3")
    return Releases(
        service.publish(repository, FIRST),
        service.publish(repository, SECOND),
        service.publish(repository, BROKEN, entrypoint=fails),
    )


@dataclass(frozen=True, slots=True)
class Platform:
    """A target and the platform's own truth about it.

    `answering`: the SHA that answers, None for nothing. `instances`: how many run. `swap`: run another
    release where the platform's names and labels still say the first. `end`: end what runs.
    """

    target: Target
    answering: Callable[[], GitSha | None]
    instances: Callable[[], int]
    swap: Callable[[GitSha, GitSha], None]
    end: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Containers:
    """A service of its own on an engine of the tests."""

    engine: Podman | Docker
    name: EngineName
    settings: ContainerSettings
    port: int

    @property
    def target(self) -> ContainerTarget:
        return ContainerTarget(self.name, ENVIRONMENT, self.settings)

    def with_(self, **changes: object) -> "Containers":
        return replace(self, settings=replace(self.settings, **changes))  # type: ignore[arg-type] # by key

    def running(self) -> list[str]:
        """Names of the running containers of this service, as the engine lists them."""
        return self._list("--filter", f"label=immutag.container={self.settings.name}")

    def all(self) -> list[str]:
        return self._list("--all", "--filter", f"label=immutag.container={self.settings.name}")

    def _list(self, *filters: str) -> list[str]:
        return sorted(self.engine("ps", "--format", "{{.Names}}", *filters).split())

    def id(self, name: str) -> str:
        return self.engine("container", "inspect", "--format", "{{.Id}}", name)

    def answering(self) -> GitSha | None:
        """What answers, once something does; None if no container of this service runs."""
        end = time.monotonic() + _ANSWER_S
        while self.running() and time.monotonic() < end:
            if said := answer(self.port):
                return GitSha(said)
            time.sleep(0.02)  # between two questions; the loop's bound is _ANSWER_S
        said = answer(self.port)
        return GitSha(said) if said else None

    def end(self) -> None:
        self.engine("stop", "-t", "0", *self.running())

    def swap(self, releases: Releases, named: GitSha, run: GitSha) -> None:
        """A container that claims to be `named` in every way that a container can, and is `run`."""
        if there := self.all():
            self.engine("rm", "--force", *there)
        image = releases.image(named)
        self.target.prepare(releases.image(run), timeout_s=LIMIT_S)
        self.engine(
            "run", "--detach", "--name", f"{self.settings.name}-{named.short}",
            "--label", f"immutag.container={self.settings.name}",
            "--label", f"immutag.environment={ENVIRONMENT}",
            "--label", f"immutag.sha={named}", "--label", f"immutag.digest={image.digest}",
            "--label", f"immutag.settings={self.settings.fingerprint}",
            "--network", "host", "--env", f"PORT={self.port}", *self.settings.run_args,
            releases.image(run),
        )  # fmt: skip


@pytest.fixture
def podman_service(podman: Podman, monkeypatch: pytest.MonkeyPatch) -> Iterator[Containers]:
    yield from _service(podman, "podman", monkeypatch)


@pytest.fixture
def docker_service(dockerd: Docker, monkeypatch: pytest.MonkeyPatch) -> Iterator[Containers]:
    yield from _service(dockerd, "docker", monkeypatch)


def _service(
    engine: Podman | Docker, name: EngineName, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Containers]:
    for key, value in engine.env.items():
        monkeypatch.setenv(key, value)
    port = free_port()
    settings = ContainerSettings(
        name=f"hello-{secrets.token_hex(4)}",
        network="host",
        env={"PORT": str(port)},
        run_args=BOUNDED,
        stop_timeout_s=3,
        plain_http=True,
    )
    made = Containers(engine, name, settings, port)
    yield made
    if there := made.all():
        engine("rm", "--force", *there)


@pytest.fixture(params=["podman", "docker", "command"])
def platform(request: pytest.FixtureRequest, releases: Releases, tmp_path: Path) -> Platform:
    """Every target there is."""
    if request.param == "command":
        return command_platform(releases, tmp_path)
    service: Containers = request.getfixturevalue(f"{request.param}_service")
    return Platform(
        service.target,
        service.answering,
        lambda: len(service.running()),
        lambda named, run: service.swap(releases, named, run),
        service.end,
    )


def command_platform(releases: Releases, folder: Path) -> Platform:
    """A team's own platform: what runs is what its file says, and `broken` cannot run."""
    runs = folder / "runs"
    apply, observe = folder / "apply", folder / "observe"
    apply.write_text(
        "#!/bin/sh\nset -eu\n"
        f'if [ "$IMMUTAG_IMAGE_SHA" = {BROKEN} ]; then echo "the database is gone" >&2; exit 3; fi\n'
        f'echo "$IMMUTAG_IMAGE" > {shlex.quote(str(runs))}\n'
    )
    observe.write_text(
        f"#!/bin/sh\nif [ -e {shlex.quote(str(runs))} ]; then cat {shlex.quote(str(runs))}; fi\n"
    )
    for program in (apply, observe):
        program.chmod(0o755)

    def answering() -> GitSha | None:
        if not runs.exists():
            return None
        shas = {releases.first.digest: FIRST, releases.second.digest: SECOND}
        return shas[Digest(runs.read_text().strip().partition("@")[2])]

    return Platform(
        CommandTarget(ENVIRONMENT, apply=("./apply",), observe=("./observe",), cwd=folder),
        answering,
        lambda: int(runs.exists()),
        lambda _named, run: void(runs.write_text(f"{releases.image(run)}\n")),
        runs.unlink,
    )


def void(_: object) -> None:
    """For a lambda whose value nobody wants."""
