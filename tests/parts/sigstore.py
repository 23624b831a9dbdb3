"""The private Sigstore of tests/parts/sigstore_stack.py, shared by all test processes of this machine."""

import fcntl
import hashlib
import json
import os
import socket
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.parts.oidc import WORKFLOW_FILE, WORKFLOWS

_READY_S = 300.0  # another checkout's stack may have to end first
_POLL_S = 0.05
_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Sigstore:
    """A running Sigstore. `issuer` vouches for people, `workflow_issuer` for GitHub's workflows."""

    directory: Path
    issuer: str
    fulcio: str
    rekor: str
    tsa: str

    @property
    def trusted_root(self) -> Path:
        return self.directory / "trusted_root.json"

    @property
    def signing_config(self) -> Path:
        return self.directory / "signing_config.json"

    @property
    def workflow_issuer(self) -> str:
        return self.issuer + WORKFLOWS

    def token(self, email: str = "dev@example.com") -> str:
        """An identity token for this person."""
        return _text(f"{self.issuer}/token?{urlencode({'email': email})}")

    def workflow_token(self, repository: str = "owner/api", **claims: str) -> str:
        """An identity token for a workflow's job; `sha`, `ref` and others are claims."""
        return _text(f"{self.workflow_issuer}/token?{urlencode({'repository': repository, **claims})}")

    def workflow_environment(self, repository: str = "owner/api", **claims: str) -> dict[str, str]:
        """What GitHub gives a job that may have an identity (`id-token: write`)."""
        asked = urlencode({"repository": repository, **claims})
        return {
            "GITHUB_ACTIONS": "true",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "of the tests",
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"{self.workflow_issuer}/request?{asked}",
        }

    @staticmethod
    def workflow(repository: str = "owner/api", ref: str = "refs/heads/main") -> str:
        """The certificate identity of such a job."""
        return f"https://github.com/{repository}/{WORKFLOW_FILE}@{ref}"


@pytest.fixture(scope="session")
def sigstore() -> Iterator[Sigstore]:
    """Fulcio, CT log, Rekor v2 and TSA, started by whoever needs them first and ended by the last."""
    shared = Path(tempfile.gettempdir()) / f"immutag-sigstore-{os.getuid()}"
    shared.mkdir(mode=0o700, exist_ok=True)
    with _connected(shared) as connection, connection.makefile("r") as answer:
        about = json.loads(answer.readline())
        yield Sigstore(
            Path(about["directory"]), about["issuer"], about["fulcio"], about["rekor"], about["tsa"]
        )
        connection.shutdown(socket.SHUT_WR)
        answer.read()  # ends at once, or when all that the stack started has ended


@contextmanager
def _connected(shared: Path) -> Iterator[socket.socket]:
    """A user's connection. It ends with this process, however that ends."""
    path = shared / f"{_version()}.socket"
    with (shared / "start").open("w") as starting:
        fcntl.flock(starting, fcntl.LOCK_EX)
        connection = _greeted(path) or _start(path)
    with connection:
        yield connection


def _start(path: Path) -> socket.socket:
    """Start a stack and wait for it. It is nobody's child for long: its users may outlive this process."""
    log = path.with_suffix(".log")
    command = [sys.executable, "-m", "tests.parts.sigstore_stack", str(path), str(path.parent / "machine")]
    files = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    environment = {**os.environ, "PYTHONPATH": str(_ROOT)}
    pid = os.posix_spawn(sys.executable, command, environment, file_actions=files, setsid=True)
    deadline = time.monotonic() + _READY_S
    while time.monotonic() < deadline and os.waitpid(pid, os.WNOHANG)[0] == 0:
        if connection := _greeted(path):
            return connection
        time.sleep(_POLL_S)  # between two questions; the loop's bound is _READY_S
    raise RuntimeError(f"the private Sigstore did not start:\n{log.read_text(errors='replace')[-4000:]}")


def _greeted(path: Path) -> socket.socket | None:
    """A connection to the stack whose greeting waits to be read; None if there is none, or it is ending."""
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(str(path))
        if connection.recv(1, socket.MSG_PEEK):
            return connection
    except (FileNotFoundError, ConnectionError):
        pass
    connection.close()
    return None


def _version() -> str:
    """Other sources would be another stack."""
    sources = [Path(__file__).with_name(name) for name in ("oidc.py", "sigstore_stack.py")]
    return hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:12]


def _text(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return str(answer.read().decode())
