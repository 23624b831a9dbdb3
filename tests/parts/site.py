"""A service with its sources, its registry and two environments, used through the real command line."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from immutag.core.values import GitSha, Repository
from tests.parts.checkouts import GIT_ENV, Checkout
from tests.parts.engines import Podman
from tests.parts.processes import free_port
from tests.parts.programs import program
from tests.parts.registries import Registry

ROOT = Path(__file__).resolve().parents[2]
_IMMUTAG = Path(sys.executable).with_name("immutag")

_CONFIG = """\
[image]
repository = "{repository}"

[build]
builder = "buildah"

[environments.production]
target = "podman"
container = "{name}"
network = "host"
env = {{ PORT = "{port}" }}
stop_timeout = 2
health = {{ url = "http://127.0.0.1:{port}/healthz", timeout = 20, contains_sha = true }}

[environments.staging]
target = "command"
apply = ["{box}/apply"]
observe = ["{box}/observe"]
"""
_APPLY = """\
#!/bin/sh
cd "$(dirname "$0")"
test ! -e refuse || { echo "this box refuses" >&2; exit 1; }
echo "$IMMUTAG_IMAGE_SHA" >>applied
test -e lie || echo "$IMMUTAG_IMAGE" >runs
"""
_OBSERVE = """\
#!/bin/sh
cd "$(dirname "$0")"
test ! -e runs || cat runs
"""


@dataclass(frozen=True, slots=True)
class Site:
    """`production` is a podman container, `staging` a command target whose state is files in `box`:
    `runs` (what observe prints), `applied` (each SHA in turn); make `refuse` to have apply fail, or `lie`
    to have it succeed and change nothing."""

    checkout: Checkout
    registry: Registry
    repository: Repository
    box: Path
    port: int
    env: Mapping[str, str]

    @property
    def folder(self) -> Path:
        return self.checkout.path

    @property
    def sha(self) -> GitSha:
        return self.checkout.head

    @property
    def ledger(self) -> Path:
        return self.folder / ".immutag" / "ledger.db"

    def run(
        self, *arguments: object, env: Mapping[str, str] | None = None, stdin: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """One command, however it ends."""
        return self._start([str(_IMMUTAG)], arguments, env, stdin)

    def json(self, *arguments: object, env: Mapping[str, str] | None = None) -> Any:
        """The result of a command that must succeed."""
        finished = self.run("--json", *arguments, env=env)
        if finished.returncode != 0:
            raise AssertionError(f"status {finished.returncode}: {finished.stdout}{finished.stderr}")
        return json.loads(finished.stdout)

    def error(self, *arguments: object, env: Mapping[str, str] | None = None) -> Any:
        """The `error` object of a command that must fail, with its exit status as `status`."""
        finished = self.run("--json", *arguments, env=env)
        if finished.returncode == 0:
            raise AssertionError(f"it succeeded: {finished.stdout}")
        return {"status": finished.returncode, **json.loads(finished.stdout)["error"]}

    def run_killed(
        self, *arguments: object, when: Literal["before", "after"], fact: str
    ) -> subprocess.CompletedProcess[str]:
        """One command in a process that kills itself around its append of such a fact."""
        driver = [sys.executable, "-m", "tests.parts.killed", when, fact]
        return self._start(driver, arguments, {"PYTHONPATH": str(ROOT)}, "")

    def _start(
        self, driver: list[str], arguments: tuple[object, ...], env: Mapping[str, str] | None, stdin: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*driver, *map(str, arguments)], cwd=self.folder, env={**os.environ, **self.env, **(env or {})},
            input=stdin, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip

    def commit(self, message: str = "change", files: Mapping[str, str | bytes] | None = None) -> GitSha:
        return self.checkout.commit(message, files)

    def facts(self, stream: str = "") -> list[str]:
        """The types of the facts in the ledger, oldest first; of streams whose name begins so."""
        if not self.ledger.exists():
            return []
        with closing(sqlite3.connect(self.ledger)) as ledger:
            rows = ledger.execute(
                "SELECT type FROM entries WHERE substr(stream, 1, ?) = ? ORDER BY sequence",
                (len(stream), stream),
            ).fetchall()
        return [kind for (kind,) in rows]

    def answer(self) -> str:
        """What the service in production says."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/", timeout=10) as answered:
            body: str = answered.read().decode()
            return body


@pytest.fixture
def site(
    git_repository: Callable[..., Checkout], registry2: Registry, podman: Podman, tmp_path: Path
) -> Iterator[Site]:
    """On main, with one commit that holds the sample service and its configuration."""
    box, port, repository = tmp_path / "box", free_port(), registry2.repository()
    box.mkdir()
    for name, text in (("apply", _APPLY), ("observe", _OBSERVE)):
        (box / name).write_text(text)
        (box / name).chmod(0o755)
    checkout = git_repository("hello")
    shutil.copytree(ROOT / "examples" / "hello", checkout.path, dirs_exist_ok=True)
    shutil.copy(program("busybox"), checkout.path / "busybox")
    config = _CONFIG.format(repository=repository, name=repository.path.split("/")[0], port=port, box=box)
    checkout.commit("the service", {"immutag.toml": config, ".gitignore": ".immutag/\n"})
    made = Site(checkout, registry2, repository, box, port, {**GIT_ENV, **podman.env})
    yield made
    podman("rm", "--all", "--force", "--time", "0")
    podman("rmi", "--all", "--force")
