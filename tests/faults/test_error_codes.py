"""Every failure code, reached through the real command line: its exit status, and no traceback."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from immutag.core.errors import KINDS
from tests.parts.programs import program
from tests.parts.registries import Registry, distribution
from tests.parts.site import Site

_IMMUTAG = Path(sys.executable).with_name("immutag")
REACHED: dict[str, int] = {kind.code: kind.exit_status for kind in KINDS}


def check(site: Site, code: str, *arguments: object, env: dict[str, str] | None = None) -> None:
    """The command fails with this code, in JSON and in words, and says what to do next."""
    error = site.error(*arguments, env=env)
    assert (error["code"], error["status"]) == (code, REACHED[code]), error
    assert all(error[field] for field in ("message", "expected", "found", "next"))
    said = site.run(*arguments, env=env)
    assert said.returncode == REACHED[code]
    assert code in said.stderr
    assert "Traceback" not in said.stderr + said.stdout


@pytest.mark.parametrize("sha", ["a" * 39, "A" * 40, "a" * 41, ""])
def test_missing_sha(site: Site, sha: str) -> None:
    check(site, "MISSING_SHA", "deploy", "--sha", sha, "--env", "staging")


@pytest.mark.parametrize("sha", ["latest", "main", "v1.2.3", "abcdef123456"])
def test_policy_violation_for_a_tag_that_is_no_full_sha(site: Site, sha: str) -> None:
    check(site, "POLICY_VIOLATION", "deploy", "--sha", sha, "--env", "staging")
    check(site, "POLICY_VIOLATION", "rollback", "--sha", sha, "--env", "staging")


def test_policy_violation_for_a_cache(site: Site) -> None:
    check(site, "POLICY_VIOLATION", "release", env={"IMMUTAG_BUILD_BUILDER_ARGS": '["--layers"]'})


def test_build_failure(site: Site) -> None:
    site.commit("broken", {"Dockerfile": 'FROM scratch\nCOPY busybox /b\nRUN ["/b", "false"]\n'})
    check(site, "BUILD_FAILURE", "release")
    assert site.facts("release:")[-1] == "stopped"


def test_missing_tag(site: Site) -> None:
    check(site, "MISSING_TAG", "deploy", "--sha", site.sha, "--env", "staging")
    check(site, "MISSING_TAG", "rollback", "--sha", site.sha, "--env", "staging")
    check(site, "MISSING_TAG", "show", site.sha)


def test_config_invalid(site: Site) -> None:
    check(site, "CONFIG_INVALID", "status", env={"IMMUTAG_IMAGE_REPOSITORY": "api"})
    check(site, "CONFIG_INVALID", "deploy", "--sha", "a" * 40, "--env", "elsewhere")


def test_push_failure(site: Site, tmp_path: Path) -> None:
    with distribution(program("docker-registry"), tmp_path / "full", readonly=True) as readonly:
        there = {"IMMUTAG_IMAGE_REPOSITORY": str(readonly.repository())}
        check(site, "PUSH_FAILURE", "release", env=there)


def test_registry_auth(site: Site, registry_auth: Registry) -> None:
    there = {"IMMUTAG_IMAGE_REPOSITORY": str(registry_auth.repository())}
    wrong = {"IMMUTAG_REGISTRY_USERNAME": "somebody", "IMMUTAG_REGISTRY_PASSWORD": "not-the-password"}
    check(site, "REGISTRY_AUTH", "release", env=there)
    check(site, "REGISTRY_AUTH", "release", env=there | wrong)
    assert "not-the-password" not in site.run("release", "-v", env=there | wrong).stderr
    assert b"not-the-password" not in site.ledger.read_bytes()


@pytest.mark.slow
def test_soft_verify_tool_error(site: Site) -> None:
    digest = site.json("release")["image_digest"].removeprefix("sha256:")
    assert site.registry.storage
    tags = (
        site.registry.storage / "docker/registry/v2/repositories" / site.repository.path / "_manifests/tags"
    )
    link = tags / f"sha256-{digest}.sig" / "current" / "link"
    link.parent.mkdir(parents=True)
    link.write_text("sha256:no digest at all")  # the registry answers 500 for this tag
    check(site, "SOFT_VERIFY_TOOL_ERROR", "deploy", "--sha", site.sha, "--env", "staging")
    check(site, "SOFT_VERIFY_TOOL_ERROR", "verify", site.sha)
    assert not (site.box / "applied").exists()


@pytest.mark.slow
def test_registry_unavailable(site: Site, closed_port: int) -> None:
    nowhere = {"IMMUTAG_IMAGE_REPOSITORY": f"127.0.0.1:{closed_port}/o/api"}
    check(site, "REGISTRY_UNAVAILABLE", "release", env=nowhere)


def test_ledger_corrupt(site: Site) -> None:
    site.json("release")
    content = bytearray(site.ledger.read_bytes())
    at = content.index(b'"type":"claimed"')
    content[at + 9] ^= 1
    site.ledger.write_bytes(content)
    check(site, "LEDGER_CORRUPT", "ledger", "verify")
    check(site, "LEDGER_CORRUPT", "release")


def test_deploy_failure(site: Site) -> None:
    site.json("release")
    (site.box / "refuse").touch()
    check(site, "DEPLOY_FAILURE", "deploy", "--sha", site.sha, "--env", "staging")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_during_a_build_leaves_nothing_running(site: Site, number: signal.Signals) -> None:
    site.commit(
        "a long build", {"Dockerfile": 'FROM scratch\nCOPY busybox /b\nRUN ["/b", "sleep", "98765"]\n'}
    )
    with subprocess.Popen(
        [_IMMUTAG, "release", "--log-format", "text"],
        cwd=site.folder,
        env={**os.environ, **site.env},
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stderr
        for line in running.stderr:
            if "98765" in line:
                break
        running.send_signal(number)
        said = running.stderr.read()
        status = running.wait(timeout=30)
    assert status == {signal.SIGINT: 130, signal.SIGTERM: 143}[number]
    assert "Traceback" not in said
    assert subprocess.run(["pgrep", "-f", "sleep 98765"], check=False, capture_output=True).stdout == b""
    assert site.run("ledger", "verify").returncode == 0
    site.commit("a short build", {"Dockerfile": "FROM scratch\nCOPY busybox /b\n"})
    assert site.run("release").returncode == 0


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that nobody listens on, kept by us so that nobody will."""
    with socket.socket() as kept:
        kept.bind(("127.0.0.1", 0))
        yield kept.getsockname()[1]
