"""One way to run git: the same answers whatever the user's configuration, hooks and environment say."""

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

from immutag import process
from immutag.core.errors import ConfigInvalid
from immutag.core.values import shown

TIMEOUT_S = 60.0
_OPTIONS = ("--no-pager", "--no-replace-objects", "-c", "core.fsmonitor=false")
_ENV = {
    "LC_ALL": "C",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_GRAFT_FILE": f"{os.devnull}/none",  # grafts pretend other parents
    "GIT_TERMINAL_PROMPT": "0",
}
# A hook's surroundings name its repository; ours is the one of the directory that we were given.
_SURROUNDINGS = (
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_COMMON_DIR",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_QUARANTINE_PATH",
    "GIT_SHALLOW_FILE",
    "GIT_PREFIX",
    "GIT_NAMESPACE",
)


def git(
    directory: Path, *arguments: str, stdin: bytes = b"", expect: tuple[int, ...] = (0,)
) -> process.Finished:
    """Run git in a directory. Raises ConfigInvalid if it is missing, or ends otherwise than expected."""
    try:
        done = process.run(
            _argv(directory, arguments), timeout_s=TIMEOUT_S, env=_ENV, without=_SURROUNDINGS, stdin=stdin
        )
    except FileNotFoundError:
        raise _missing() from None
    if done.status not in expect or done.timed_out or not done.complete:
        raise ConfigInvalid(
            "git could not answer",
            expected=f"git {arguments[0]} to end with {' or '.join(map(str, expect))}",
            found="no end within a minute"
            if done.timed_out
            else shown(done.tail(3)) or f"status {done.status}",
            remedy="git fsck",
        )
    return done


def ask(
    directory: Path, *arguments: str, timeout_s: float, env: Mapping[str, str] | None = None
) -> process.Finished:
    """Run git, however it ends. Raises ConfigInvalid if it is missing."""
    argv = _argv(directory, arguments)
    try:
        return process.run(argv, timeout_s=timeout_s, env={**_ENV, **(env or {})}, without=_SURROUNDINGS)
    except FileNotFoundError:
        raise _missing() from None


@contextmanager
def objects(directory: Path) -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """`git cat-file --batch`: ask with an object's id and a newline, read header and content."""
    argv = _argv(directory, ("cat-file", "--batch"))
    with ExitStack() as stack:
        try:
            pipes = stack.enter_context(process.talk(argv, env=_ENV, without=_SURROUNDINGS))
        except FileNotFoundError:
            raise _missing() from None
        yield pipes


def _argv(directory: Path, arguments: tuple[str, ...]) -> list[str]:
    return ["git", "-C", str(directory), *_OPTIONS, *arguments]


def _missing() -> ConfigInvalid:
    return ConfigInvalid(
        "git is missing", expected="git on the PATH", found="none", remedy="apt-get install git"
    )
