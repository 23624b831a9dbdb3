"""Targets whose process is killed, and engines that hang, answer nonsense, or change while we look."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import pytest

from immutag.core.deployment import NothingRuns, Placement, Running
from immutag.core.errors import DeployFailure
from immutag.core.values import GitSha
from immutag.deploy.container import ContainerSettings, ContainerTarget
from tests.parts.programs import program
from tests.parts.services import Service
from tests.parts.targets import ENVIRONMENT, FIRST, LIMIT_S, SECOND, Containers, Releases

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


@pytest.fixture(params=["podman", "docker"])
def updating(request: pytest.FixtureRequest, releases: Releases) -> Containers:
    """The first release runs, and the second is near."""
    service: Containers = request.getfixturevalue(f"{request.param}_service")
    target = quick(service)
    for image in (releases.first, releases.second):
        target.prepare(image, timeout_s=LIMIT_S)
    target.place(releases.placement(FIRST), timeout_s=LIMIT_S)
    return service


def quick(service: Containers) -> ContainerTarget:
    return ContainerTarget(service.name, ENVIRONMENT, service.settings, settle_s=0.1)


def killed(service: Containers, placement: Placement, when: str, verb: str, act: str) -> None:
    """Do the act in a process that kills itself before, during or after the engine's verb."""
    about = {
        "engine": service.name,
        "settings": asdict(service.settings),
        "image": str(placement.image),
        "sha": str(placement.sha),
        "previous": str(placement.previous),
        "previous_sha": str(placement.previous_sha),
    }
    ended = subprocess.run(
        [sys.executable, "-m", "tests.parts.killed_act", when, verb, act],
        input=json.dumps(about).encode(), capture_output=True, check=False, cwd=ROOT, timeout=LIMIT_S,
    )  # fmt: skip
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()


def only(service: Containers, sha: GitSha) -> bool:
    return (
        service.all() == service.running() == [f"{service.settings.name}-{sha.short}"]
        and service.answering() == sha
    )


@pytest.mark.parametrize("then", ["go on", "go back"])
@pytest.mark.parametrize(
    ("verb", "when"),
    [("stop", "before"), ("stop", "during"), ("run", "before"), ("run", "during"), ("run", "after")],
)
def test_a_killed_place_is_completed_or_undone_by_whoever_comes_next(
    updating: Containers, releases: Releases, verb: str, when: str, then: str
) -> None:
    placement = releases.placement(SECOND, FIRST)
    killed(updating, placement, when, verb, "place")
    if then == "go on":
        quick(updating).place(placement, timeout_s=LIMIT_S)
        quick(updating).keep(placement, timeout_s=LIMIT_S)
        assert only(updating, SECOND)
    else:
        quick(updating).restore(placement, timeout_s=LIMIT_S)
        assert only(updating, FIRST)


def test_a_stop_that_outlives_us_does_not_end_what_was_restored(
    podman_service: Containers, service: Service, releases: Releases
) -> None:
    """It has asked the old release to end, which takes a while, and would end it after all."""
    script = "trap '/bin/busybox sleep 2; exit 0' TERM; while :; do /bin/busybox sleep 0.1; done"
    old = GitSha("8" * 40)
    image = service.publish(releases.first.repository, old, entrypoint=("/bin/busybox", "sh", "-c", script))
    target = quick(podman_service)
    for needed in (image, releases.second):
        target.prepare(needed, timeout_s=LIMIT_S)
    target.place(Placement(image, old, ENVIRONMENT, None, None), timeout_s=LIMIT_S)
    update = Placement(releases.second, SECOND, ENVIRONMENT, image, old)
    name = f"{podman_service.settings.name}-{old.short}"
    started = podman_service.engine("container", "inspect", "--format", "{{.State.StartedAt}}", name)
    killed(podman_service, update, "during", "stop", "place")
    target.restore(update, timeout_s=LIMIT_S)
    assert podman_service.running() == [name]
    again = podman_service.engine("container", "inspect", "--format", "{{.State.StartedAt}}", name)
    assert again != started, "it ended, and was started after that"


@pytest.mark.parametrize("when", ["before", "during", "after"])
def test_a_killed_keep_is_completed(updating: Containers, releases: Releases, when: str) -> None:
    placement = releases.placement(SECOND, FIRST)
    quick(updating).place(placement, timeout_s=LIMIT_S)
    killed(updating, placement, when, "rm", "keep")
    quick(updating).keep(placement, timeout_s=LIMIT_S)
    assert only(updating, SECOND)


@pytest.mark.parametrize(
    ("verb", "when"),
    [("stop", "during"), ("rm", "before"), ("rm", "during"), ("start", "before"), ("start", "during")],
)
def test_a_killed_restore_is_completed(
    updating: Containers, releases: Releases, verb: str, when: str
) -> None:
    placement = releases.placement(SECOND, FIRST)
    quick(updating).place(placement, timeout_s=LIMIT_S)
    killed(updating, placement, when, verb, "restore")
    quick(updating).restore(placement, timeout_s=LIMIT_S)
    assert only(updating, FIRST)


# Engines that misbehave: small real programs under podman's name.


def engine_that(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> ContainerTarget:
    fake = folder / "bin" / "podman"
    fake.parent.mkdir()
    fake.write_text(f"#!/bin/sh\n{script}\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}{os.pathsep}{os.environ['PATH']}")
    return ContainerTarget("podman", ENVIRONMENT, ContainerSettings(name="hello"))


def test_an_engine_that_hangs_costs_no_more_than_the_time_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = engine_that(tmp_path, "sleep 300", monkeypatch)
    began = time.monotonic()
    with pytest.raises(DeployFailure, match="did not end in the time allowed"):
        target.observe(timeout_s=0.3)
    assert time.monotonic() - began < 20


@pytest.mark.parametrize(
    "answer",
    ["", "<html>", "{}", "[1]", '[{"Id": "x"}]', "null",
     '[{"Id":"x","Name":"x","Image":"x","State":{"Status":7},"RestartCount":0,"Config":{"Labels":{}}}]'],
)  # fmt: skip
def test_an_answer_that_cannot_be_read_is_ignorance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    script = f"if [ $1 = ps ]; then echo abc; else echo {shlex.quote(answer)}; fi"
    if answer == "{}":  # an object is no list of containers, though it can be gone through
        script = "if [ $1 = ps ]; then echo abc; else echo '{\"a\": 1}'; fi"
    with pytest.raises(DeployFailure, match="cannot be read"):
        engine_that(tmp_path, script, monkeypatch).observe(timeout_s=LIMIT_S)


def test_a_container_that_goes_while_we_look_is_no_failure(
    podman_service: Containers, releases: Releases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between being listed and being looked at it is removed, by the engine itself."""
    quick(podman_service).prepare(releases.first, timeout_s=LIMIT_S)
    quick(podman_service).place(releases.placement(FIRST), timeout_s=LIMIT_S)
    real = program("podman")
    removes = f'if [ "$1 $2" = "container inspect" ]; then {real} rm -f -t 0 $3 >&2; fi'
    engine_that(tmp_path, f'{removes}; exec {real} "$@"', monkeypatch)
    assert quick(podman_service).observe(timeout_s=LIMIT_S) == NothingRuns()


def test_an_image_without_a_registry_s_digest_runs_under_no_digest(
    podman_service: Containers, releases: Releases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Something runs, and nothing that it could be compared with: never equal to what was recorded."""
    container = {
        "Id": "abc", "Name": "x", "Image": "i", "State": {"Status": "running"}, "RestartCount": 0,
        "Config": {"Labels": None},
    }  # fmt: skip
    answers = {"ps": "abc", "container": json.dumps([container]), "image": '[{"Id":"i","RepoDigests":null}]'}
    cases = "".join(f"{verb}) echo {shlex.quote(said)};; " for verb, said in answers.items())
    target = engine_that(tmp_path, f"case $1 in {cases} esac", monkeypatch)
    assert target.observe(timeout_s=LIMIT_S) == Running((frozenset(),))
