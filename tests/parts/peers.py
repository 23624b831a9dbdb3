"""Other people's clients, asked for the truth about a registry or a layout."""

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.parts.programs import peer, program


@dataclass(frozen=True, slots=True)
class Peer:
    """A program as a callable: `crane("digest", ref)` is its standard output without the last newline."""

    path: str
    env: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, *arguments: object, stdin: bytes = b"") -> str:
        return self.raw(*arguments, stdin=stdin).decode().rstrip("\n")

    def raw(self, *arguments: object, stdin: bytes = b"") -> bytes:
        """Exactly what it printed. Raises if it failed, with what it said."""
        finished = self.run(*arguments, stdin=stdin)
        if finished.returncode != 0:
            said = finished.stderr.decode(errors="replace")
            raise AssertionError(f"{self.path} {' '.join(map(str, arguments))}: {said}")
        return finished.stdout

    def run(self, *arguments: object, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """However it ends."""
        return subprocess.run(
            [self.path, *map(str, arguments)],
            input=stdin, capture_output=True, check=False, timeout=300, env={**os.environ, **self.env},
        )  # fmt: skip


class Crane(Peer):
    """go-containerregistry's client. It speaks plain HTTP to loopback by itself."""

    __slots__ = ()

    def digest(self, reference: object) -> str:
        return self("digest", reference)

    def tags(self, repository: object) -> list[str]:
        """The repository's tags, sorted; none if the registry knows no such repository."""
        finished = self.run("ls", repository)
        if finished.returncode != 0 and b"NAME_UNKNOWN" in finished.stderr:
            return []
        finished.check_returncode()
        return sorted(finished.stdout.decode().split())

    def manifest(self, reference: object) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.raw("manifest", reference))
        return document

    def config(self, reference: object) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.raw("config", reference))
        return document


@pytest.fixture(scope="session")
def crane() -> Crane:
    return Crane(peer("crane"))


@pytest.fixture(scope="session")
def oras() -> Peer:
    """Give it `--plain-http` after the subcommand for a registry without TLS."""
    return Peer(peer("oras"))


@pytest.fixture(scope="session")
def regctl() -> Peer:
    return Peer(peer("regctl"))


@pytest.fixture(scope="session")
def skopeo() -> Peer:
    """Give it `--tls-verify=false` (`--src-tls-verify=false` with copy) for a registry without TLS."""
    return Peer(program("skopeo"))
