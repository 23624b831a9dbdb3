"""Where a build happens: a folder of one process, and a finished layout that outlives a killed one (DR-011).

    .immutag/builds/<sha>/<random>/   layout/  context/  tmp/  build.json  lock
    .immutag/logs/<sha>-<random>.log  the whole output of the last builds

The lock is held as long as its process lives, so a folder whose lock is free is an orphan. `build.json` is
written after the layout, at once or not at all.
"""

import fcntl
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from immutag.core.errors import ConfigInvalid, ImmutagError
from immutag.core.frozen import frozen
from immutag.core.values import Digest, GitSha, shown
from immutag.oci import Descriptor
from immutag.oci.archive import ingest

_LOGS_KEPT = 20
_TRIES = 100
_FINISHED_KEPT_S = 7 * 24 * 3600


@frozen()
class BuiltLayout:
    """A finished layout: its root, and how it came to be. `recipe`: the digest of what was asked for."""

    root: Descriptor
    builder: str
    duration_ms: int
    platform: str
    recipe: str = ""


class Workspace:
    """A folder that this process alone holds. Leaving the block gives it up; a finished layout stays."""

    def __init__(self, builds: Path, folder: Path, lock: int) -> None:
        self.layout = folder / "layout"
        self.context = folder / "context"
        self.log = builds.parent / "logs" / f"{folder.parent.name}-{folder.name}.log"
        self._folder = folder
        self._lock: int | None = lock
        self._built: BuiltLayout | None = None

    @classmethod
    def open(cls, builds: Path, sha: GitSha) -> Self:
        """The orphan that holds this commit's finished layout, or else a new folder. Other orphans go.

        A finished layout of another commit waits a week for its release to be run again. Raises ConfigInvalid
        where nothing can be written.
        """
        try:
            return cls._open(builds, sha)
        except OSError as error:
            raise _no_place(builds, str(error)) from error

    @classmethod
    def _open(cls, builds: Path, sha: GitSha) -> Self:
        chosen = None
        for orphan in cls._orphans(builds):
            if chosen is None and orphan._folder.parent.name == str(sha) and orphan._adopt():
                chosen = orphan
            elif orphan._folder.parent.name == str(sha) or not orphan._waits():
                orphan.discard()
            else:
                orphan._release()
        workspace = chosen or cls._new(builds, builds / str(sha))
        _prune(workspace.log.parent)
        return workspace

    @classmethod
    def _orphans(cls, builds: Path) -> Iterator[Self]:
        for folder in [folder for commit in _children(builds) for folder in _children(commit)]:
            if (lock := _lock(folder)) is not None:
                yield cls(builds, folder, lock)

    @classmethod
    def _new(cls, builds: Path, parent: Path) -> Self:
        """Another process may take the folder for an orphan before it is locked: then another folder."""
        for _ in range(_TRIES):
            with suppress(FileNotFoundError, FileExistsError):  # the parent goes with the last folder in it
                parent.mkdir(parents=True, exist_ok=True)
                folder = Path(tempfile.mkdtemp(prefix="", dir=parent))
                if (lock := _lock(folder)) is not None:
                    return cls(builds, folder, lock)
        raise _no_place(builds, f"{_TRIES} tries in {parent} without one")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._built is None:
            self.discard()
        self._release()

    def finished(self, recipe: str) -> BuiltLayout | None:
        """The finished layout that this folder holds. One that was made by another recipe goes."""
        if self._built and self._built.recipe != recipe:
            self._built = None
            (self._folder / "build.json").unlink(missing_ok=True)
            shutil.rmtree(self.layout, ignore_errors=True)
        return self._built

    def finish(self, built: BuiltLayout) -> None:
        """The layout is complete: whoever opens the folder next need not build."""
        document = {
            "mediaType": built.root.media_type,
            "digest": str(built.root.digest),
            "size": built.root.size_bytes,
            "builder": built.builder,
            "duration_ms": built.duration_ms,
            "platform": built.platform,
            "recipe": built.recipe,
        }
        unfinished = self._folder / "build.json.unfinished"
        unfinished.write_text(json.dumps(document))
        unfinished.replace(self._folder / "build.json")
        self._built = built
        for rest in (self.context, self._folder / "tmp"):
            shutil.rmtree(rest, ignore_errors=True)

    def discard(self) -> None:
        """The layout is not needed any more: it is released, or lost the race. The log stays."""
        self._built = None
        if self._lock is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            with suppress(OSError):  # others build the same commit
                self._folder.parent.rmdir()
        self._release()

    def _release(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _adopt(self) -> bool:
        """Whether the layout is finished and whole: every byte is hashed, a power cut may have torn some."""
        try:
            built = _read(self._folder / "build.json")
            if ingest(self.layout, self.layout) != built.root:
                return False
        except (OSError, ValueError, KeyError, TypeError, ImmutagError):
            return False
        self._built = built
        return True

    def _waits(self) -> bool:
        with suppress(FileNotFoundError):
            return time.time() - (self._folder / "build.json").stat().st_mtime < _FINISHED_KEPT_S
        return False


def _no_place(builds: Path, found: str) -> ConfigInvalid:
    return ConfigInvalid(
        "there is no place to build in",
        expected="folders that can be made and locked",
        found=shown(found),
        remedy=f"ls -ld {builds.parent} {builds}; df {builds.parent}",
    )


def _read(file: Path) -> BuiltLayout:
    document = json.loads(file.read_text())
    root = Descriptor(document["mediaType"], Digest(document["digest"]), document["size"])
    return BuiltLayout(
        root, document["builder"], document["duration_ms"], document["platform"], document["recipe"]
    )


def _children(folder: Path) -> list[Path]:
    """What is in a folder; nothing if another process has just deleted it (`glob` would fail)."""
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _lock(folder: Path) -> int | None:
    """The folder's lock, if it is free and the folder still there. It ends with our process."""
    file = folder / "lock"
    try:
        lock = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(lock).st_ino == file.stat().st_ino:
            return lock
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(lock)
    return None


def _prune(logs: Path) -> None:
    logs.mkdir(parents=True, exist_ok=True)
    for old in sorted(logs.glob("*.log"), key=_age, reverse=True)[_LOGS_KEPT:]:
        old.unlink(missing_ok=True)


def _age(file: Path) -> float:
    with suppress(FileNotFoundError):
        return file.stat().st_mtime
    return 0.0
