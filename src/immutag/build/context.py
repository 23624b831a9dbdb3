"""What a builder reads with its own hands, outside of any container, lies in the commit (DR-016)."""

import os
from collections.abc import Iterator
from pathlib import Path

from immutag.core.errors import ConfigInvalid
from immutag.core.values import shown

_IGNORE = ".dockerignore", ".containerignore"


def ensure_inside(exported: Path, context: Path, dockerfile: Path) -> None:
    """Refuse a context, or a list of what to leave out of it, that `..` or a link leads out of the commit.

    What the context holds may be links to anywhere: builders follow them within the context only. Raises
    ConfigInvalid.
    """
    if not is_inside(context, exported):
        raise _outside("the build's context leads out of the commit", "context", exported, context)
    for file in _ignore_files(context, dockerfile):
        if os.path.lexists(file) and not is_inside(file, exported):
            raise _outside("what the build leaves out is not said in the commit", file.name, exported, file)


def is_inside(path: Path, folder: Path) -> bool:
    """Whether the path, with every link followed, is the folder or lies in it."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def _ignore_files(context: Path, dockerfile: Path) -> Iterator[Path]:
    """Every name that one of the builders looks for."""
    for name in _IGNORE:
        yield context / name
        yield dockerfile.with_name(dockerfile.name + name)


def _outside(message: str, what: str, exported: Path, path: Path) -> ConfigInvalid:
    return ConfigInvalid(
        message,
        expected="a place in the commit: the SHA must determine the build (DR-016)",
        found=shown(os.path.relpath(path, exported)),
        remedy=f"correct {what} in [build] of immutag.toml"
        if what == "context"
        else f"commit {shown(what)} as a file",
    )
