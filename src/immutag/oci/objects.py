"""Manifests and small blobs kept on this machine, by digest: what is named by its digest cannot change.

`$XDG_CACHE_HOME/immutag/objects/<algorithm>/<two digits>/<digest>`. It is only a cache: nothing there is
believed before it is hashed again, and where it cannot be read or written there is none.
"""

import hashlib
import os
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from immutag.core.values import Digest

OBJECT_LIMIT_BYTES = 1024 * 1024
_FOLDER_LIMIT_BYTES = 512 * 1024
"""Of each of the 256 folders; what was written last always stays."""
_SMALL_BYTES = 16 * 1024
"""Of what is smaller, only each sixteenth has its folder looked through: an audit writes thousands."""


class Objects:
    """The store, for all threads and processes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def of_user(cls, environ: Mapping[str, str]) -> "Objects | None":
        """In the user's cache folder; None for a user who has none."""
        given = environ.get("XDG_CACHE_HOME", "")
        if given.startswith("/"):  # a relative one is to be ignored (XDG Base Directory Specification)
            return cls(Path(given) / "immutag" / "objects")
        home = environ.get("HOME", "")
        return cls(Path(home) / ".cache" / "immutag" / "objects") if home.startswith("/") else None

    def get(self, content: Digest) -> bytes | None:
        """The bytes with this digest, hashed just now; None if they are not here."""
        path = self._path(content)
        try:
            opened = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            found = os.read(opened, OBJECT_LIMIT_BYTES + 1)
        except OSError:
            return None
        finally:
            os.close(opened)
        if hashlib.new(content.algorithm, found).hexdigest() == content.hex:
            return found
        with suppress(OSError):
            Path(path).unlink()
        return None

    def put(self, content: Digest, found: bytes) -> None:
        """Keep bytes that were checked against this digest, unless they are large."""
        if len(found) > OBJECT_LIMIT_BYTES:
            return
        path = self._path(content)
        with suppress(OSError):  # no room, or no right to write here: the next look asks the registry again
            _write(path, found)
            if len(found) > _SMALL_BYTES or content.hex.endswith("0"):
                _prune(Path(path))

    def _path(self, content: Digest) -> str:
        """A plain text, since an audit asks for thousands."""
        digits = content.hex
        return f"{self.folder}/{content.algorithm}/{digits[:2]}/{digits}"


def _write(path: str, found: bytes) -> None:
    """All of it or nothing, whoever else writes the same."""
    folder = os.path.dirname(path)  # noqa: PTH120 - as `_path`
    half = f"{folder}/.{os.getpid()}-{threading.get_ident()}"
    try:
        try:
            _fill(half, found)
        except FileNotFoundError:
            Path(folder).mkdir(mode=0o700, parents=True, exist_ok=True)
            _fill(half, found)
        os.replace(half, path)  # noqa: PTH105
    except OSError:
        Path(half).unlink(missing_ok=True)
        raise


def _fill(path: str, found: bytes) -> None:
    with open(path, "wb", buffering=0) as file:  # noqa: PTH123
        file.write(found)


def _prune(newest: Path) -> None:
    """The oldest go first. What a killed process left half written goes with them."""
    with os.scandir(newest.parent) as found:
        files = [(each.stat(), each.path) for each in found if each.name != newest.name]
    left_bytes = _FOLDER_LIMIT_BYTES - newest.stat().st_size
    for about, path in sorted(files, key=lambda file: file[0].st_mtime_ns, reverse=True):
        left_bytes -= about.st_size
        if left_bytes < 0:
            with suppress(FileNotFoundError):
                Path(path).unlink()
