"""Which builder: the configured one, or the first that works on this machine."""

import shutil
from collections.abc import Callable, Sequence

from immutag.build import Builder
from immutag.build.buildah import Buildah
from immutag.build.buildkit import Docker, engine_answers
from immutag.build.running import PACKAGES, missing
from immutag.core.errors import ConfigInvalid


def builder(name: str, *, extra: Sequence[str] = ()) -> Builder:
    """The builder of that name; `auto`: buildah, podman, or docker with an engine that answers.

    Raises ConfigInvalid if there is none, PolicyViolation if `extra` asks for a cache.
    """
    if name == "auto":
        name = _first()
    elif not shutil.which(name):
        raise missing(name)
    make: dict[str, Callable[[], Builder]] = {
        "buildah": lambda: Buildah("buildah", extra),
        "podman": lambda: Buildah("podman", extra),
        "docker": lambda: Docker(extra),
    }
    return make[name]()


def _first() -> str:
    for name in ("buildah", "podman"):
        if shutil.which(name):
            return name
    if shutil.which("docker") and engine_answers():
        return "docker"
    raise ConfigInvalid(
        "no builder works on this machine",
        expected="buildah, podman, or docker with an engine that answers",
        found="none",
        remedy=PACKAGES["buildah"],
    )
