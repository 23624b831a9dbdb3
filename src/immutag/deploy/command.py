"""An environment that the team's own programs change and observe (`target = "command"`)."""

import time
from collections.abc import Mapping
from pathlib import Path

from immutag.core.deployment import NothingRuns, Observation, Placement, Running, Unobservable
from immutag.core.errors import ConfigInvalid, DeployFailure, DigestMismatch
from immutag.core.values import Digest, EnvironmentName, GitSha, ImageRef, shown
from immutag.deploy.earlier import MARK, wait_for_earlier
from immutag.process import Finished, run


class CommandTarget:
    """`apply` brings an image up and takes the old one down; `observe` prints what runs.

    What `apply` is told, in its environment: IMMUTAG_IMAGE (`repository@digest`), IMMUTAG_IMAGE_SHA,
    IMMUTAG_DIGEST, IMMUTAG_ENVIRONMENT and IMMUTAG_PREVIOUS_IMAGE; empty where there is none.
    """

    name = "command"

    def __init__(
        self, environment: EnvironmentName, *, apply: tuple[str, ...], observe: tuple[str, ...], cwd: Path
    ) -> None:
        self._environment = environment
        self._apply = apply
        self._observe = observe
        self._cwd = cwd

    def observe(self, *, timeout_s: float) -> Observation:
        """A line for each instance: its digest, or `repository@digest`. No line: nothing runs."""
        if not self._observe:
            return Unobservable()
        said = self._run("observe", self._observe, {"IMMUTAG_ENVIRONMENT": str(self._environment)}, timeout_s)
        if not said.complete:
            raise _unreadable("more output than can be read")
        lines = [line.strip() for line in said.text.splitlines() if line.strip()]
        return Running(tuple(frozenset({_digest(line)}) for line in lines)) if lines else NothingRuns()

    def holds(self, image: ImageRef, *, timeout_s: float) -> bool:  # noqa: ARG002 - Target's signature
        """Not that we know."""
        return False

    def prepare(self, image: ImageRef, *, timeout_s: float) -> None:
        """`apply` does it."""

    def place(self, placement: Placement, *, timeout_s: float) -> None:
        self._bring(placement.image, placement.sha, placement.previous, timeout_s)

    def keep(self, placement: Placement, *, timeout_s: float) -> None:
        """`apply` did it."""

    def restore(self, placement: Placement, *, timeout_s: float) -> None:
        """`apply` again, with the previous image. Without one there is nothing that it could be told."""
        if placement.previous is not None:
            self._bring(placement.previous, placement.previous_sha, placement.image, timeout_s)

    def _bring(self, image: ImageRef, sha: GitSha | None, leaving: ImageRef | None, timeout_s: float) -> None:
        told = {
            "IMMUTAG_IMAGE": str(image),
            "IMMUTAG_IMAGE_SHA": str(sha or ""),
            "IMMUTAG_DIGEST": str(image.digest),
            "IMMUTAG_ENVIRONMENT": str(self._environment),
            "IMMUTAG_PREVIOUS_IMAGE": str(leaving or ""),
        }
        until = time.monotonic() + timeout_s
        mark = f"{self._environment} from {self._cwd}"
        wait_for_earlier(self._apply[0], mark, until=until)
        self._run("apply", self._apply, {**told, MARK: mark}, until - time.monotonic())

    def _run(self, key: str, argv: tuple[str, ...], told: Mapping[str, str], timeout_s: float) -> Finished:
        """It must exit with status 0, in time, and gets none of our registry's secrets."""
        if timeout_s <= 0:
            raise self._failed(f"{key} was not started", f"time for {key}", "none left", argv)
        try:
            finished = run(argv, timeout_s=timeout_s, cwd=self._cwd, env=told)
        except OSError as error:  # missing, not executable, or for another machine
            raise ConfigInvalid(
                f"the program of {key} cannot be started",
                expected=f"a program that can be run from {self._cwd}",
                found=f"{shown(argv[0])}: {shown(error.strerror or str(error))}",
                remedy=f"correct {key} of [environments.{self._environment}] in immutag.toml",
            ) from None
        if not finished.ok:
            ended = "ran out of time" if finished.timed_out else f"ended with status {finished.status}"
            said = shown(" ".join(finished.tail(5).split()))
            raise self._failed(f"{key} {ended}", f"status 0 within {timeout_s:g} s", said or "no words", argv)
        return finished

    def _failed(self, what: str, expected: str, found: str, argv: tuple[str, ...]) -> DeployFailure:
        return DeployFailure(
            f"{what} (environment {self._environment})",
            expected=expected,
            found=found,
            remedy=f"run {shown(argv[0])} by hand with the variables of the command target",
        )


def _digest(line: str) -> Digest:
    try:
        return Digest(line.rpartition("@")[2])
    except DigestMismatch:
        raise _unreadable(shown(line)) from None


def _unreadable(found: str) -> DeployFailure:
    return DeployFailure(
        "what observe printed does not say what runs",
        expected="a digest or repository@digest for each running instance, one a line, and nothing else",
        found=found,
        remedy="let observe print what the platform says, and everything else to standard error",
    )
