"""Programs that tests need. One that is missing fails the test with the command that installs it."""

import os
import shutil
from pathlib import Path

PEERS = Path(
    os.environ.get("IMMUTAG_PEERS")
    or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "immutag-peers"
)


class MissingProgram(Exception):
    """A part that the tests need is not on this machine; nothing is skipped for it."""


def program(name: str) -> str:
    """The path of one of the system's programs."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")
    if found is None:
        raise MissingProgram(f"{name} is missing: scripts/test-parts installs it (./test calls it)")
    return found


def peer(name: str) -> str:
    """The path of a program that scripts/test-parts builds, at the version it pins."""
    found = PEERS / "bin" / name
    if not found.exists():
        raise MissingProgram(f"{found} is missing: scripts/test-parts builds it (./test calls it)")
    return str(found)
