"""Git repositories made by git itself, the same commits each time."""

import os
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from immutag.core.values import GitSha
from tests.parts.programs import program

GIT_ENV = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "A. Tester",
    "GIT_AUTHOR_EMAIL": "tester@example.com",
    "GIT_COMMITTER_NAME": "A. Tester",
    "GIT_COMMITTER_EMAIL": "tester@example.com",
}
_FIRST_S = 1_700_000_000


@dataclass(slots=True)
class Checkout:
    """A work tree. Every commit is a minute after the one before, so SHAs do not depend on the clock."""

    path: Path
    _commits: int = field(default=0)

    def git(self, *arguments: object) -> str:
        """Standard output without the last newline. Raises if git failed."""
        date = f"{_FIRST_S + 60 * self._commits} +0000"
        finished = subprocess.run(
            [program("git"), *map(str, arguments)],
            cwd=self.path, capture_output=True, check=False, text=True,
            env={**os.environ, **GIT_ENV, "GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date},
        )  # fmt: skip
        if finished.returncode != 0:
            raise AssertionError(f"git {' '.join(map(str, arguments))}: {finished.stderr}")
        return finished.stdout.removesuffix("\n")

    def write(self, files: Mapping[str, str | bytes]) -> None:
        for name, content in files.items():
            path = self.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())

    def commit(self, message: str = "change", files: Mapping[str, str | bytes] | None = None) -> GitSha:
        """Write the files, add everything, commit, even when nothing changed."""
        self.write(files or {})
        self.git("add", "--all")
        self._commits += 1
        self.git("commit", "--quiet", "--allow-empty", "--message", message)
        return self.head

    @property
    def head(self) -> GitSha:
        return GitSha(self.git("rev-parse", "HEAD"))


@pytest.fixture
def git_repository(tmp_path: Path) -> Callable[..., Checkout]:
    """Make an empty repository on main: `git_repository()`, or with other names for more of them."""

    def make(name: str = "checkout", *init: str) -> Checkout:
        made = Checkout(tmp_path / name)
        made.path.mkdir()
        made.git("init", "--quiet", "--initial-branch=main", *init)
        return made

    return make
