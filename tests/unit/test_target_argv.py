"""The command lines of docker and podman, as lists."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from immutag.core.errors import ConfigInvalid
from immutag.core.values import Digest, EnvironmentName, GitSha, ImageRef, Repository
from immutag.deploy.container_argv import ContainerSettings, container_name, each, pull_argv, run_argv
from immutag.deploy.engine import Engine

SHA = GitSha("0123456789abcdef0123456789abcdef01234567")
DIGEST = Digest("sha256:" + "d" * 64)
IMAGE = ImageRef(Repository("ghcr.io", "owner/api"), DIGEST)
PRODUCTION = EnvironmentName("production")


def test_the_whole_run_command() -> None:
    settings = ContainerSettings(
        name="api-production",
        network="web",
        ports=("8080:80",),
        env={"PORT": "80"},
        volumes=("/data:/data",),
        command=("serve", "--fast"),
        run_args=("--memory", "1g"),
    )
    assert run_argv(settings, PRODUCTION, IMAGE, SHA) == (
        "run", "--detach", "--pull", "never", "--restart", "unless-stopped",
        "--name", "api-production-0123456789ab",
        "--label", "immutag.container=api-production",
        "--label", "immutag.environment=production",
        "--label", f"immutag.sha={SHA}",
        "--label", f"immutag.digest={DIGEST}",
        "--label", f"immutag.settings={settings.fingerprint}",
        "--network", "web", "--publish", "8080:80", "--volume", "/data:/data",
        "--env-file", "/dev/stdin", "--memory", "1g",
        f"ghcr.io/owner/api@{DIGEST}", "serve", "--fast",
    )  # fmt: skip


def test_values_of_variables_are_never_in_a_command_line() -> None:
    settings = ContainerSettings(name="api", env={"PASSWORD": "correct horse", "EMPTY": ""})
    assert not [word for word in run_argv(settings, PRODUCTION, IMAGE, SHA) if "horse" in word]
    assert settings.env_file == b"PASSWORD=correct horse\nEMPTY=\n"


@pytest.mark.parametrize(
    "env", [{"A": "1\n2"}, {"": "1"}, {"A B": "1"}, {"A=B": "1"}, {"#A": "1"}, {" A": "1"}]
)
def test_a_variable_that_would_become_another_is_refused(env: dict[str, str]) -> None:
    with pytest.raises(ConfigInvalid):
        ContainerSettings(name="api", env=env)


def test_a_previous_release_without_sha_is_named_by_its_digest() -> None:
    assert container_name(ContainerSettings(name="api"), IMAGE, None) == "api-dddddddddddd"


@pytest.mark.parametrize(
    ("engine", "plain_http", "expected"),
    [
        ("podman", True, ("pull", "--quiet", "--tls-verify=false", str(IMAGE))),
        ("podman", False, ("pull", "--quiet", str(IMAGE))),
        ("docker", True, ("pull", "--quiet", str(IMAGE))),  # dockerd decides
    ],
)
def test_the_pull_command(engine: str, plain_http: bool, expected: tuple[str, ...]) -> None:
    kind = Engine("podman" if engine == "podman" else "docker", (), mark="").kind
    settings = ContainerSettings(name="api", plain_http=plain_http)
    assert pull_argv(settings, IMAGE, plain_http=kind.plain_http) == expected


def test_the_engine_s_arguments_stand_before_the_subcommand() -> None:
    engine = Engine("docker", ("-H", "unix:///run/other.sock"), mark="")
    assert engine.argv("ps", "--all") == ("docker", "-H", "unix:///run/other.sock", "ps", "--all")


@pytest.mark.parametrize(
    ("settings", "alone"),
    [
        (ContainerSettings(name="a"), False),
        (ContainerSettings(name="a", network="web"), False),
        (ContainerSettings(name="a", network="none"), False),
        (ContainerSettings(name="a", run_args=("--memory", "1g", "--pids-limit=9")), False),
        (ContainerSettings(name="a", network="host"), True),
        (ContainerSettings(name="a", network="container:proxy"), True),
        (ContainerSettings(name="a", ports=("80:80",)), True),
        (ContainerSettings(name="a", run_args=("-p", "80:80")), True),
        (ContainerSettings(name="a", run_args=("-p80:80",)), True),
        (ContainerSettings(name="a", run_args=("--publish=80:80",)), True),
        (ContainerSettings(name="a", run_args=("-P",)), True),
        (ContainerSettings(name="a", run_args=("--network", "host")), True),
        (ContainerSettings(name="a", run_args=("--net=host",)), True),
        (ContainerSettings(name="a", run_args=("--ip", "10.0.0.2")), True),
    ],
)
def test_two_containers_stand_beside_each_other_unless_they_want_the_same_address(
    settings: ContainerSettings, alone: bool
) -> None:
    assert settings.alone is alone


texts = st.text(st.characters(exclude_categories=["C"]), max_size=5)


@given(st.lists(texts), st.lists(texts))
def test_settings_that_differ_have_fingerprints_that_differ(one: list[str], other: list[str]) -> None:
    """Also where the words are the same and stand elsewhere."""
    first = ContainerSettings(name="a", command=tuple(one), run_args=tuple(other))
    second = ContainerSettings(name="a", command=tuple(other), run_args=tuple(one))
    assert (first.fingerprint == second.fingerprint) is (one == other)


@given(st.lists(texts))
def test_an_option_for_each_value(values: list[str]) -> None:
    words = list(each("--label", values))
    assert words[::2] == ["--label"] * len(values) and words[1::2] == values
