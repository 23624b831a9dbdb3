"""docker and podman themselves: what must be true of containers beyond what every target promises."""

import json
import time
from pathlib import Path

import pytest

from immutag.core.deployment import NothingRuns, Running
from immutag.core.errors import ConfigInvalid, DeployFailure
from immutag.core.frozen import replace
from immutag.core.values import Digest, GitSha, ImageRef
from immutag.deploy.container import ContainerSettings, ContainerTarget
from immutag.oci.auth import Credentials
from tests.parts.programs import program
from tests.parts.registries import Registry, distribution
from tests.parts.services import Service
from tests.parts.targets import BROKEN, ENVIRONMENT, FIRST, LIMIT_S, SECOND, Containers, Releases

pytestmark = pytest.mark.slow


@pytest.fixture(params=["podman", "docker"])
def service_of(request: pytest.FixtureRequest) -> Containers:
    found: Containers = request.getfixturevalue(f"{request.param}_service")
    return found


@pytest.fixture
def beside(service_of: Containers) -> Containers:
    """A service without ports, so that two releases of it can run at once."""
    return service_of.with_(network="none")


def up(containers: Containers, releases: Releases, sha: GitSha, previous: GitSha | None = None) -> None:
    placement = releases.placement(sha, previous)
    containers.target.prepare(placement.image, timeout_s=LIMIT_S)
    containers.target.place(placement, timeout_s=LIMIT_S)


def names(containers: Containers, *shas: GitSha) -> list[str]:
    return [f"{containers.settings.name}-{sha.short}" for sha in shas]


def test_the_new_container_starts_beside_the_old_where_ports_allow(
    beside: Containers, releases: Releases
) -> None:
    up(beside, releases, FIRST)
    old = beside.id(*names(beside, FIRST))
    up(beside, releases, SECOND, previous=FIRST)
    assert beside.running() == names(beside, FIRST, SECOND)
    observed = beside.target.observe(timeout_s=LIMIT_S)
    assert isinstance(observed, Running) and len(observed.instances) == 2
    beside.target.restore(releases.placement(SECOND, FIRST), timeout_s=LIMIT_S)
    assert beside.all() == names(beside, FIRST)
    assert beside.id(*names(beside, FIRST)) == old, "the old container was never touched"


def test_the_old_container_is_stopped_and_kept_where_both_want_a_port(
    service_of: Containers, releases: Releases
) -> None:
    up(service_of, releases, FIRST)
    old = service_of.id(*names(service_of, FIRST))
    up(service_of, releases, SECOND, previous=FIRST)
    assert service_of.running() == names(service_of, SECOND)
    assert service_of.all() == names(service_of, FIRST, SECOND)
    service_of.target.restore(releases.placement(SECOND, FIRST), timeout_s=LIMIT_S)
    assert service_of.all() == service_of.running() == names(service_of, FIRST)
    assert service_of.id(*names(service_of, FIRST)) == old
    assert service_of.answering() == FIRST


def test_restore_runs_the_old_container_as_it_was_though_the_settings_changed(
    service_of: Containers, releases: Releases
) -> None:
    up(service_of, releases, FIRST)
    old = service_of.id(*names(service_of, FIRST))
    changed = service_of.with_(env={"PORT": "not a port"})
    placement = releases.placement(SECOND, FIRST)
    changed.target.prepare(placement.image, timeout_s=LIMIT_S)
    with pytest.raises(DeployFailure):
        changed.target.place(placement, timeout_s=LIMIT_S)
    changed.target.restore(placement, timeout_s=LIMIT_S)
    assert service_of.id(*names(service_of, FIRST)) == old
    assert service_of.answering() == FIRST


def test_placing_a_running_release_again_leaves_its_container_unless_its_settings_changed(
    service_of: Containers, releases: Releases
) -> None:
    up(service_of, releases, FIRST)
    first = service_of.id(*names(service_of, FIRST))
    up(service_of, releases, FIRST)
    assert service_of.id(*names(service_of, FIRST)) == first
    up(service_of.with_(env={**service_of.settings.env, "COLOUR": "blue"}), releases, FIRST)
    assert service_of.id(*names(service_of, FIRST)) != first
    inspected = json.loads(service_of.engine("container", "inspect", *names(service_of, FIRST)))
    assert "COLOUR=blue" in inspected[0]["Config"]["Env"]


def test_a_crash_loop_fails_and_does_not_go_on_after_the_restore(
    service_of: Containers, releases: Releases
) -> None:
    with pytest.raises(DeployFailure, match="does not stay up") as failure:
        up(service_of, releases, BROKEN)
    assert "the database is gone" in failure.value.found
    service_of.target.restore(releases.placement(BROKEN), timeout_s=LIMIT_S)
    assert service_of.all() == []
    assert service_of.target.observe(timeout_s=LIMIT_S) == NothingRuns()


def test_a_container_of_somebody_else_is_refused_and_left_alone(
    service_of: Containers, releases: Releases
) -> None:
    service_of.target.prepare(releases.first, timeout_s=LIMIT_S)
    (name,) = names(service_of, FIRST)
    service_of.engine(
        "run", "--detach", "--name", name, "--network", "none", *service_of.settings.run_args,
        "--entrypoint", "/bin/busybox", releases.first, "sleep", "1000",
    )  # fmt: skip
    theirs = service_of.id(name)
    try:
        with pytest.raises(DeployFailure, match="is not ours") as refusal:
            up(service_of, releases, FIRST)
        assert "rename" in refusal.value.remedy
        assert service_of.target.observe(timeout_s=LIMIT_S) == NothingRuns()
        assert service_of.id(name) == theirs
    finally:
        service_of.engine("rm", "--force", name)


def test_another_environment_on_the_same_engine_is_neither_seen_nor_touched(
    beside: Containers, releases: Releases
) -> None:
    other = beside.with_(name=f"{beside.settings.name}-other")
    try:
        up(other, releases, FIRST)
        assert beside.target.observe(timeout_s=LIMIT_S) == NothingRuns()
        up(beside, releases, SECOND)
        beside.target.keep(releases.placement(SECOND), timeout_s=LIMIT_S)
        assert other.running() == names(other, FIRST)
    finally:
        other.engine("rm", "--force", *names(other, FIRST))


def test_a_paused_container_does_not_run_and_does_not_stand_in_the_way(
    service_of: Containers, releases: Releases
) -> None:
    up(service_of, releases, FIRST)
    service_of.engine("pause", *names(service_of, FIRST))
    assert service_of.target.observe(timeout_s=LIMIT_S) == NothingRuns()
    up(service_of, releases, SECOND, previous=FIRST)
    service_of.target.keep(releases.placement(SECOND, FIRST), timeout_s=LIMIT_S)
    assert service_of.all() == service_of.running() == names(service_of, SECOND)


def test_an_image_in_an_index_is_observed_under_the_digest_of_the_index(
    service_of: Containers, releases: Releases, service: Service
) -> None:
    index = service.publish_index(releases.first)
    placement = replace(releases.placement(FIRST), image=index)
    service_of.target.prepare(index, timeout_s=LIMIT_S)
    service_of.target.place(placement, timeout_s=LIMIT_S)
    observed = service_of.target.observe(timeout_s=LIMIT_S)
    assert isinstance(observed, Running) and index.digest in observed.instances[0]


def test_a_held_image_is_restored_without_the_registry_and_a_missing_one_is_not_held(
    service_of: Containers, service: Service, tmp_path: Path
) -> None:
    one, two, three = GitSha("4" * 40), GitSha("5" * 40), GitSha("6" * 40)
    with distribution(program("docker-registry"), tmp_path / "registry") as registry:
        repository = registry.repository("hello")
        first, second, third = (service.publish(repository, sha) for sha in (one, two, three))
        for image in (first, second):
            assert not service_of.target.holds(image, timeout_s=LIMIT_S)
            service_of.target.prepare(image, timeout_s=LIMIT_S)
            assert service_of.target.holds(image, timeout_s=LIMIT_S)
    gone = Releases(first, second, third).placement(SECOND, FIRST)
    placement = replace(gone, sha=two, previous_sha=one)
    service_of.target.place(placement, timeout_s=LIMIT_S)
    service_of.target.restore(placement, timeout_s=LIMIT_S)
    assert service_of.answering() == one
    assert not service_of.target.holds(third, timeout_s=LIMIT_S)
    with pytest.raises(DeployFailure):
        service_of.target.prepare(third, timeout_s=LIMIT_S)
    assert service_of.answering() == one


def test_an_image_that_the_registry_does_not_have_fails_in_the_engine_s_words(
    service_of: Containers, releases: Releases
) -> None:
    missing = ImageRef(releases.first.repository, Digest("sha256:" + "0" * 64))
    with pytest.raises(DeployFailure, match="pull failed") as failure:
        service_of.target.prepare(missing, timeout_s=LIMIT_S)
    assert "unknown" in failure.value.found


def test_a_pull_has_the_credentials_and_leaves_none_behind(
    service_of: Containers,
    service: Service,
    registry_auth: Registry,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert registry_auth.username and registry_auth.password
    (tmp_path / "config.json").write_text("{}")
    with monkeypatch.context() as logged_in:
        logged_in.setenv("DOCKER_CONFIG", str(tmp_path / "login"))
        service.crane(
            "auth", "login", registry_auth.host, "-u", registry_auth.username, "--password-stdin",
            stdin=registry_auth.password.encode(),
        )  # fmt: skip
        image = service.publish(registry_auth.repository("hello"), GitSha("7" * 40))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    (tmp_path / "run").mkdir(mode=0o700)
    asked: list[str] = []

    def credentials(host: str) -> Credentials:
        asked.append(host)
        return Credentials(str(registry_auth.username), str(registry_auth.password))

    with pytest.raises(DeployFailure):
        service_of.target.prepare(image, timeout_s=LIMIT_S)
    target = ContainerTarget(service_of.name, ENVIRONMENT, service_of.settings, credentials=credentials)
    target.prepare(image, timeout_s=LIMIT_S)
    assert target.holds(image, timeout_s=LIMIT_S)
    target.prepare(image, timeout_s=LIMIT_S)
    assert asked == [registry_auth.host], "asked for once, with the port, and not for what is held"
    assert not [path for path in (tmp_path / "run").rglob("*") if "immutag" in path.name]
    assert (tmp_path / "config.json").read_text() == "{}"


def test_an_engine_that_does_not_answer_is_no_empty_platform(
    service_of: Containers, releases: Releases, tmp_path: Path
) -> None:
    nowhere = {
        "docker": ("--host", f"unix://{tmp_path}/nobody.sock"),
        "podman": ("--url", f"unix://{tmp_path}/nobody.sock", "--remote"),
    }
    target = service_of.with_(engine_args=nowhere[service_of.name]).target
    for ask in (target.observe, lambda *, timeout_s: target.holds(releases.first, timeout_s=timeout_s)):
        with pytest.raises(ConfigInvalid, match="does not answer"):
            ask(timeout_s=LIMIT_S)


@pytest.mark.parametrize(("engine", "package"), [("docker", "docker.io"), ("podman", "podman")])
def test_a_missing_engine_is_named_with_the_command_that_installs_it(
    engine: str, package: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    target = ContainerTarget(
        "docker" if engine == "docker" else "podman", ENVIRONMENT, ContainerSettings(name="api")
    )
    with pytest.raises(ConfigInvalid, match="is not on this machine") as missing:
        target.observe(timeout_s=LIMIT_S)
    assert missing.value.remedy == f"apt-get install {package}"


def test_stopping_the_sample_service_is_quick(service_of: Containers, releases: Releases) -> None:
    """It ends on SIGTERM by itself; the engine would wait for the whole time allowed."""
    patient = service_of.with_(stop_timeout_s=30)
    up(patient, releases, FIRST)
    assert service_of.answering() == FIRST
    began = time.monotonic()
    service_of.engine("stop", "-t", "30", *names(service_of, FIRST))
    assert time.monotonic() - began < 15
