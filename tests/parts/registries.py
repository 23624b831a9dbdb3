"""Registries: the ones people run (distribution 2.8 and 3), with and without the referrers API,
with write-once tags, with each kind of authentication, and over TLS."""

import json
import re
import secrets
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from immutag.core.values import Repository
from tests.parts.certificates import Authority
from tests.parts.processes import Server, server
from tests.parts.programs import peer, program
from tests.parts.tokens import TokenService, token_service

USERNAME, PASSWORD = "tester", "correct horse"  # of the tests' own registries
_REQUEST = re.compile(r'"([A-Z]+) (\S+) HTTP/[0-9.]+" ([0-9]{3}) ')


@dataclass(frozen=True, slots=True)
class Request:
    """One line of a registry's access log."""

    method: str
    path: str
    status: int


@dataclass(frozen=True, slots=True)
class Registry:
    """A running registry. `storage` is its folder, for damage; None for one that keeps all in memory."""

    server: Server
    scheme: str = "http"
    storage: Path | None = None
    ca: Path | None = None
    username: str | None = None
    password: str | None = None
    tokens: TokenService | None = None

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server.port}"

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.host}"

    def repository(self, name: str = "api") -> Repository:
        """A repository that no other test uses."""
        return Repository(self.host, f"t{secrets.token_hex(5)}/{name}")

    def requests(self, containing: str = "") -> list[Request]:
        """What was asked so far, in the order of the answers; only paths that contain this text."""
        found = _REQUEST.findall(self.server.log.read_text(errors="replace"))
        return [Request(m, path, int(status)) for m, path, status in found if containing in path]


@contextmanager
def distribution(
    binary: str,
    directory: Path,
    *,
    auth: Mapping[str, Any] | None = None,
    authority: Authority | None = None,
    port: int | None = None,
    readonly: bool = False,
    **about: Any,
) -> Iterator[Registry]:
    """Distribution's registry with its data in `directory/data`. Starting it again finds them again.

    `readonly`: it refuses every write with 405, as one in maintenance does.
    """
    directory.mkdir(parents=True, exist_ok=True)

    def argv(chosen: int) -> Sequence[str]:
        http: dict[str, Any] = {"addr": f"127.0.0.1:{chosen}", "secret": "of the tests"}
        if authority:
            certificate, key = authority.server(directory)
            http["tls"] = {"certificate": str(certificate), "key": str(key)}
        config = {
            "version": "0.1",
            "log": {"level": "warn", "accesslog": {"disabled": False}},
            "storage": {
                "filesystem": {"rootdirectory": str(directory / "data")},
                "delete": {"enabled": True},
                "maintenance": {"readonly": {"enabled": readonly}},
            },
            "http": http,
            **({"auth": auth} if auth else {}),
        }
        path = directory / "config.yml"
        path.write_text(json.dumps(config))  # JSON is YAML
        return [binary, "serve", str(path)]

    quiet = {"OTEL_TRACES_EXPORTER": "none"}
    with server(argv, log=directory / "log", env=quiet, port=port) as running:
        yield Registry(
            running,
            scheme="https" if authority else "http",
            storage=directory / "data",
            ca=authority.certificate if authority else None,
            **about,
        )


@contextmanager
def in_memory(directory: Path, *flags: str) -> Iterator[Registry]:
    """The registry of tests/parts/registry: it has the referrers API."""
    directory.mkdir(parents=True, exist_ok=True)
    binary = peer("oci-registry")
    with server(
        lambda port: [binary, "-address", f"127.0.0.1:{port}", *flags], log=directory / "log"
    ) as running:
        yield Registry(running)


def basic_auth(directory: Path) -> dict[str, Any]:
    """Distribution's `auth` section for USERNAME and PASSWORD, with the password file it needs."""
    directory.mkdir(parents=True, exist_ok=True)
    hashed = subprocess.run(
        [program("htpasswd"), "-niBC", "4", USERNAME],
        input=PASSWORD, capture_output=True, text=True, check=True,
    )  # fmt: skip
    (directory / "htpasswd").write_text(hashed.stdout)
    return {"htpasswd": {"realm": "tests", "path": str(directory / "htpasswd")}}


@pytest.fixture(scope="session")
def registry2(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """Distribution 2.8: no referrers API, ignores If-None-Match."""
    with distribution(program("docker-registry"), tmp_path_factory.mktemp("registry2")) as running:
        yield running


@pytest.fixture(scope="session")
def registry3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """Distribution 3: no referrers API."""
    with distribution(peer("registry"), tmp_path_factory.mktemp("registry3")) as running:
        yield running


@pytest.fixture(scope="session")
def registry_referrers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """In memory, with the referrers API."""
    with in_memory(tmp_path_factory.mktemp("registry_referrers")) as running:
        yield running


@pytest.fixture(scope="session")
def registry_immutable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """In memory; a tag is written once: the same bytes again are fine, others are refused (403)."""
    with in_memory(tmp_path_factory.mktemp("registry_immutable"), "-immutable") as running:
        yield running


@pytest.fixture(scope="session")
def registry_auth(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """Distribution 2.8 that wants basic authentication: `username` and `password`."""
    directory = tmp_path_factory.mktemp("registry_auth")
    with distribution(
        program("docker-registry"), directory,
        auth=basic_auth(directory), username=USERNAME, password=PASSWORD,
    ) as running:  # fmt: skip
        yield running


@pytest.fixture(scope="session")
def registry_token(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """Distribution 2.8 that wants Bearer tokens from `tokens`, which wants `username` and `password`."""
    directory = tmp_path_factory.mktemp("registry_token")
    with (
        token_service(directory, USERNAME, PASSWORD) as tokens,
        distribution(
            program("docker-registry"), directory,
            auth=tokens.auth, username=USERNAME, password=PASSWORD, tokens=tokens,
        ) as running,
    ):  # fmt: skip
        yield running


@pytest.fixture(scope="session")
def registry_tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """Distribution 3 over TLS; its certificate is signed by the authority in `ca` and no other."""
    directory = tmp_path_factory.mktemp("registry_tls")
    with distribution(peer("registry"), directory, authority=Authority.create(directory)) as running:
        yield running
