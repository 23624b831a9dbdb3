"""immutag: one identity for a container image, from commit to running container.

The library is `Project`: what the command line does, as methods. Its names are imported when they are used.
"""

from typing import TYPE_CHECKING

from immutag._version import __version__

if TYPE_CHECKING:
    from immutag.core.errors import ImmutagError
    from immutag.core.values import Digest, EnvironmentName, GitSha, ImageRef, Repository
    from immutag.project import Project

__all__ = [
    "Digest",
    "EnvironmentName",
    "GitSha",
    "ImageRef",
    "ImmutagError",
    "Project",
    "Repository",
    "__version__",
]

_HOMES = {"ImmutagError": "immutag.core.errors", "Project": "immutag.project"}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES.get(name, "immutag.core.values")), name)
