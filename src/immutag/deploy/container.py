"""An environment that is one container of docker or podman on this machine (DR-006, DR-014).

Our containers carry labels that say so; a container without them is never touched. `place` starts the new
one beside the old, or, where both would want the same port, stops the old one and keeps it. `keep` and
`restore` then leave exactly one. Every act looks first at what is there, so it may be repeated after a kill
at any point.
"""

import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence

from immutag.core.deployment import NothingRuns, Observation, Placement, Running
from immutag.core.errors import DeployFailure
from immutag.core.values import Digest, EnvironmentName, GitSha, ImageRef, shown
from immutag.deploy.container_argv import ContainerSettings, container_name, each, pull_argv, run_argv
from immutag.deploy.engine import Engine, EngineName, words
from immutag.deploy.inspected import Container, read_containers, read_images
from immutag.deploy.login import logged_in
from immutag.oci.auth import Credentials

_POLL_S = 0.1
_LOOKS = 3  # a container may go between being listed and being looked at

__all__ = ["ContainerSettings", "ContainerTarget"]


class ContainerTarget:
    """A container of docker or podman. `credentials` are asked for only when something must be pulled.

    `settle_s`: how long a container must run before it counts as started; a program that cannot start has
    usually ended by then.
    """

    def __init__(
        self,
        engine: EngineName,
        environment: EnvironmentName,
        settings: ContainerSettings,
        *,
        credentials: Callable[[str], Credentials | None] = lambda _: None,
        settle_s: float = 1.0,
    ) -> None:
        self.name: str = engine
        self._engine = Engine(engine, settings.engine_args, mark=f"{settings.name} in {environment}")
        self._environment = environment
        self._settings = settings
        self._credentials = credentials
        self._settle_s = settle_s

    def observe(self, *, timeout_s: float) -> Observation:
        """The digests of every running container of this environment: container → image → its digests.

        What the container's own labels say about its image is not asked.
        """
        until = time.monotonic() + timeout_s
        running = [container for container in self._ours(until) if container.runs]
        if not running:
            return NothingRuns()
        digests = self._digests({container.image for container in running}, until)
        return Running(tuple(digests[container.image] for container in running))

    def holds(self, image: ImageRef, *, timeout_s: float) -> bool:
        until = time.monotonic() + timeout_s
        found = self._engine.call("image", "inspect", str(image), until=until)
        if not found.ok:
            self._engine.must_answer(until=until)
            return False
        return any(image.digest in digests for digests in read_images(found.stdout).values())

    def prepare(self, image: ImageRef, *, timeout_s: float) -> None:
        until = time.monotonic() + timeout_s
        if self.holds(image, timeout_s=timeout_s):
            return
        host = image.repository.host
        with logged_in(self._engine, host, self._credentials(host)) as env:
            self._engine.do(
                *pull_argv(self._settings, image, plain_http=self._engine.kind.plain_http),
                until=until,
                env=env,
            )

    def place(self, placement: Placement, *, timeout_s: float) -> None:
        until = time.monotonic() + timeout_s
        self._engine.wait_for_earlier(until=until)
        name = self._container(placement.image, placement.sha)
        self._refuse_foreign(name, until)
        if self._settings.alone:
            self._stop(self._others(name, until), until)
        self._bring_up(placement.image, placement.sha, until)

    def keep(self, placement: Placement, *, timeout_s: float) -> None:
        until = time.monotonic() + timeout_s
        self._engine.wait_for_earlier(until=until)
        name = self._container(placement.image, placement.sha)
        self._remove(self._others(name, until), until)

    def restore(self, placement: Placement, *, timeout_s: float) -> None:
        """The previous container as it was, where it is still there; else a new one, by digest."""
        until = time.monotonic() + timeout_s
        self._engine.wait_for_earlier(until=until)
        previous = placement.previous
        if previous is None:
            self._remove(self._ours(until), until)
            return
        name = self._container(previous, placement.previous_sha)
        self._remove(self._others(name, until), until)
        kept = self._named(name, until)
        if kept is None or previous.digest not in self._digests({kept.image}, until)[kept.image]:
            self.prepare(previous, timeout_s=until - time.monotonic())
            self._bring_up(previous, placement.previous_sha, until)
        else:
            if not kept.runs:
                self._engine.do("start", kept.id, until=until)
            self._settle(name, until)

    def _container(self, image: ImageRef, sha: GitSha | None) -> str:
        return container_name(self._settings, image, sha)

    # What is there.

    def _ours(self, until: float) -> Sequence[Container]:
        """Every container of this environment, running or not."""
        return self._look(
            until,
            f"label=immutag.container={self._settings.name}",
            f"label=immutag.environment={self._environment}",
        )

    def _others(self, name: str, until: float) -> Sequence[Container]:
        return [container for container in self._ours(until) if container.name != name]

    def _named(self, name: str, until: float) -> Container | None:
        return next((container for container in self._ours(until) if container.name == name), None)

    def _look(self, until: float, *filters: str) -> Sequence[Container]:
        listing = ("ps", "--all", "--quiet", "--no-trunc", *each("--filter", filters))
        for look in range(1, _LOOKS + 1):
            ids = self._engine.do(*listing, until=until).text.split()
            if not ids:
                break
            ask = self._engine.do if look == _LOOKS else self._engine.call
            found = ask("container", "inspect", *ids, until=until)
            if found.ok:
                return read_containers(found.stdout)
        return ()

    def _digests(self, images: Collection[str], until: float) -> Mapping[str, frozenset[Digest]]:
        """For each of the engine's images, every digest under which a registry knows it."""
        found = read_images(self._engine.do("image", "inspect", *sorted(images), until=until).stdout)
        return {image: found.get(image, frozenset()) for image in images}

    def _refuse_foreign(self, name: str, until: float) -> None:
        for other in self._look(until, f"name=^{name}$"):
            if other.name == name and other.labels.get("immutag.container") != self._settings.name:
                raise DeployFailure(
                    f"the container {name} is not ours",
                    expected=f"no such name, or the label immutag.container={self._settings.name}",
                    found=f"{shown(other.id[:12])}, {shown(other.status)}, without that label",
                    remedy=f"{self.name} rename {name} another-name",
                )

    # What changes it.

    def _bring_up(self, image: ImageRef, sha: GitSha | None, until: float) -> None:
        """One running container of this image and these settings, made anew unless it runs already."""
        name = self._container(image, sha)
        there = self._named(name, until)
        if there is None or not self._is(there, image, until):
            self._remove([there] if there else [], until)
            self._engine.do(
                *run_argv(self._settings, self._environment, image, sha),
                until=until,
                stdin=self._settings.env_file,
            )
        self._settle(name, until)

    def _is(self, container: Container, image: ImageRef, until: float) -> bool:
        return (
            container.runs
            and container.labels.get("immutag.settings") == self._settings.fingerprint
            and image.digest in self._digests({container.image}, until)[container.image]
        )

    def _settle(self, name: str, until: float) -> None:
        """It must run for a short time without having to be started again. Raises with its last words."""
        settled = time.monotonic() + self._settle_s
        first = now = self._named(name, until)
        while now and first and now.runs and now.restarts == first.restarts:
            if time.monotonic() >= settled:
                return
            time.sleep(_POLL_S)
            now = self._named(name, until)
        said = words(self._engine.call("logs", "--tail", "3", now.id, until=until)) if now else ""
        raise DeployFailure(
            f"the container {name} does not stay up",
            expected=f"that it runs for {self._settle_s:g} s",
            found=f"{_state(now)}; its last words: {said or 'none'}",
            remedy="look at what the release needs to start; immutag history shows what ran before",
        )

    def _stop(self, containers: Sequence[Container], until: float) -> None:
        """Also those that seem to have ended: in a crash loop they would start again."""
        paused = [container.id for container in containers if container.status == "paused"]
        if paused:  # podman cannot stop these
            self._engine.do("unpause", *paused, until=until)
        if containers:
            grace_s = str(math.ceil(self._settings.stop_timeout_s))
            self._engine.do("stop", "-t", grace_s, *(one.id for one in containers), until=until)

    def _remove(self, containers: Sequence[Container], until: float) -> None:
        self._stop(containers, until)
        if containers:
            self._engine.do("rm", "--force", *(one.id for one in containers), until=until)


def _state(container: Container | None) -> str:
    if container is None:
        return "it is gone"
    return f"it is {shown(container.status)}, started again {container.restarts} times"
