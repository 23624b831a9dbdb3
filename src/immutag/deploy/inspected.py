"""What an engine says about its containers and images, read into values. Neither engine is believed blindly:
an answer that cannot be read stops the act."""

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from immutag.core.errors import DeployFailure, DigestMismatch
from immutag.core.frozen import frozen
from immutag.core.values import Digest, shown

_T = TypeVar("_T")


@frozen()
class Container:
    """A container as the engine describes it. `image` is the engine's own id for the image."""

    id: str
    name: str
    image: str
    status: str
    restarts: int
    labels: Mapping[str, str]

    @property
    def runs(self) -> bool:
        """Not while it is paused, dead, or waiting to be started again after a crash."""
        return self.status == "running"


def read_containers(answer: bytes) -> tuple[Container, ...]:
    """From `container inspect`. Raises DeployFailure."""
    return _read(answer, lambda document: tuple(_container(entry) for entry in document))


def read_images(answer: bytes) -> Mapping[str, frozenset[Digest]]:
    """From `image inspect`: for each image id, every digest under which a registry knows it.

    Not `.Digest` (podman): that one may be of a manifest that only this engine has.
    """
    return _read(
        answer,
        lambda document: {
            _text(entry["Id"]): frozenset(
                Digest(name.rpartition("@")[2]) for name in entry.get("RepoDigests") or ()
            )
            for entry in document
        },
    )


def _read(answer: bytes, decode: Callable[[Any], _T]) -> _T:  # Any: JSON, checked by what reads it
    try:
        return decode(json.loads(answer))
    except (ValueError, KeyError, TypeError, AttributeError, DigestMismatch):
        raise DeployFailure(
            "the engine's answer cannot be read",
            expected="JSON as docker and podman print it",
            found=shown(answer[:200].decode(errors="replace")) or "nothing",
            remedy="immutag doctor shows which engine is used",
        ) from None


def _container(entry: Any) -> Container:
    return Container(
        id=_text(entry["Id"]),
        name=_text(entry["Name"]).removeprefix("/"),  # docker's begin with a slash
        image=_text(entry["Image"]),
        status=_text(entry["State"]["Status"]),
        restarts=int(entry["RestartCount"]),
        labels={_text(key): _text(value) for key, value in (entry["Config"]["Labels"] or {}).items()},
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value
