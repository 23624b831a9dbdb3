"""docker and podman as programs: what differs between them, as data, and one way to call either."""

import time
from collections.abc import Mapping
from typing import Literal

from immutag.core.errors import ConfigInvalid, DeployFailure
from immutag.core.frozen import frozen
from immutag.core.values import shown
from immutag.deploy.earlier import MARK, wait_for_earlier
from immutag.process import Finished, run

EngineName = Literal["docker", "podman"]
_PROBE_S = 10.0
_WORDS = 190  # characters of an engine's answer in a message


@frozen()
class _Kind:
    """Where the two differ. `login` is the variable that names a configuration with credentials."""

    probe: tuple[str, ...]
    install: str
    mend: str
    login: Literal["DOCKER_CONFIG", "REGISTRY_AUTH_FILE"]
    plain_http: tuple[str, ...]


_KINDS: Mapping[EngineName, _Kind] = {
    "docker": _Kind(
        probe=("version", "--format", "{{.Server.Version}}"),
        install="apt-get install docker.io",
        mend="systemctl start docker, or add this user to the group docker",
        login="DOCKER_CONFIG",
        plain_http=(),  # the daemon decides: loopback, or its `insecure-registries`
    ),
    "podman": _Kind(
        probe=("info", "--format", "{{.Host.Arch}}"),
        install="apt-get install podman",
        mend="podman info",
        login="REGISTRY_AUTH_FILE",
        plain_http=("--tls-verify=false",),
    ),
}


@frozen()
class Engine:
    """One container engine, as it is called here. `args` stand before every subcommand.

    `mark` names the environment that it acts on: the engine's program may outlive us if we are killed.
    """

    name: EngineName
    args: tuple[str, ...]
    mark: str

    @property
    def kind(self) -> _Kind:
        return _KINDS[self.name]

    def argv(self, *rest: str) -> tuple[str, ...]:
        return (self.name, *self.args, *rest)

    def call(
        self, *rest: str, until: float, env: Mapping[str, str] | None = None, stdin: bytes = b""
    ) -> Finished:
        """Run a subcommand, however it ends. `until` is on the monotonic clock: nothing starts after it.

        Raises DeployFailure when time is up, ConfigInvalid when there is no such program.
        """
        left = until - time.monotonic()
        if left <= 0:
            raise self._too_late(rest)
        try:
            finished = run(
                self.argv(*rest), timeout_s=left, env={MARK: self.mark, **(env or {})}, stdin=stdin
            )
        except FileNotFoundError:
            raise ConfigInvalid(
                f"{self.name} is not on this machine",
                expected=f"the program {self.name} on the PATH",
                found="no such program",
                remedy=self.kind.install,
            ) from None
        if finished.timed_out:
            raise self._too_late(rest)
        return finished

    def wait_for_earlier(self, *, until: float) -> None:
        wait_for_earlier(self.name, self.mark, until=until)

    def do(
        self, *rest: str, until: float, env: Mapping[str, str] | None = None, stdin: bytes = b""
    ) -> Finished:
        """Run a subcommand that must succeed. Raises DeployFailure with the engine's words."""
        finished = self.call(*rest, until=until, env=env, stdin=stdin)
        if not finished.ok:
            self.must_answer(until=until)
            raise DeployFailure(
                f"{self.name} {rest[0]} failed",
                expected=f"{self.name} {rest[0]} to succeed",
                found=words(finished) or f"exit status {finished.status}",
                remedy=f"{self.name} ps --all",
            )
        return finished

    def must_answer(self, *, until: float) -> None:
        """Raise ConfigInvalid if the engine itself cannot be used: then its refusals mean nothing."""
        probed = self.call(*self.kind.probe, until=min(until, time.monotonic() + _PROBE_S))
        if not probed.ok:
            raise ConfigInvalid(
                f"{self.name} does not answer",
                expected=f"a {self.name} engine that this user may use",
                found=words(probed) or f"exit status {probed.status}",
                remedy=self.kind.mend,
            )

    def _too_late(self, rest: tuple[str, ...]) -> DeployFailure:
        return DeployFailure(
            f"{self.name} {rest[0]} did not end in the time allowed",
            expected="an answer before the time limit",
            found="none",
            remedy=f"{self.name} ps --all",
        )


def words(finished: Finished) -> str:
    """The end of what a program said, on one line: that is where the reason stands."""
    said = " ".join(finished.tail(3).split())
    return shown(said if len(said) <= _WORDS else f"…{said[-_WORDS:]}")
