"""The parts themselves: a fixture that is not what it says would make other tests prove nothing."""

import hashlib
import io
import subprocess
import tarfile
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from immutag.core.values import GitSha
from tests.parts.checkouts import Checkout
from tests.parts.engines import Docker, Podman
from tests.parts.peers import Crane, Peer
from tests.parts.programs import program
from tests.parts.pushgateway import Pushgateway
from tests.parts.registries import Registry

_LAYER = b"content"
_DIGEST = f"sha256:{hashlib.sha256(_LAYER).hexdigest()}"


def _push(crane: Crane, repository: object, tag: str, tmp_path: Path, content: bytes = _LAYER) -> str:
    """A one-layer image by crane."""
    path = tmp_path / f"{tag}.tar"
    with tarfile.open(path, "w") as archive:
        about = tarfile.TarInfo("file")
        about.size = len(content)
        archive.addfile(about, io.BytesIO(content))
    crane("append", "--oci-empty-base", "-f", path, "-t", f"{repository}:{tag}")
    return crane.digest(f"{repository}:{tag}")


def _status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            status: int = answer.status
            return status
    except urllib.error.HTTPError as error:
        with error:
            return error.code


@pytest.mark.parametrize(
    ("fixture", "referrers"),
    [("registry2", 404), ("registry3", 404), ("registry_referrers", 200), ("registry_immutable", 200)],
)
def test_a_registry_takes_an_image_and_logs_it(
    fixture: str, referrers: int, request: pytest.FixtureRequest, crane: Crane, skopeo: Peer, tmp_path: Path
) -> None:
    registry: Registry = request.getfixturevalue(fixture)
    repository = registry.repository()
    digest = _push(crane, repository, "one", tmp_path)
    assert crane.tags(repository) == ["one"]
    assert digest in skopeo("inspect", "--tls-verify=false", f"docker://{repository}@{digest}")
    puts = [r for r in registry.requests(f"{repository.path}/manifests/one") if r.method == "PUT"]
    assert [r.status for r in puts] == [201]
    assert _status(f"{registry.url}/v2/{repository.path}/referrers/{digest}") == referrers


def test_an_immutable_tag_is_not_moved(registry_immutable: Registry, crane: Crane, tmp_path: Path) -> None:
    repository = registry_immutable.repository()
    first = _push(crane, repository, "one", tmp_path)
    with pytest.raises(AssertionError, match="DENIED"):
        _push(crane, repository, "one", tmp_path, b"other")
    assert crane.digest(f"{repository}:one") == first


@pytest.mark.parametrize("fixture", ["registry_auth", "registry_token"])
def test_a_registry_that_wants_credentials(
    fixture: str, request: pytest.FixtureRequest, oras: Peer, tmp_path: Path
) -> None:
    registry: Registry = request.getfixturevalue(fixture)
    image = f"{registry.repository()}:one"
    push = ["push", "--plain-http", "--disable-path-validation", image, tmp_path / "file"]
    (tmp_path / "file").write_bytes(_LAYER)
    client = Peer(oras.path, {"DOCKER_CONFIG": str(tmp_path / "docker")})
    assert client.run(*push).returncode != 0
    assert registry.username and registry.password
    client(
        "login", "--plain-http", registry.host, "--username", registry.username, "--password-stdin",
        stdin=registry.password.encode(),
    )  # fmt: skip
    client(*push)
    assert _LAYER.decode() == client("blob", "fetch", "--plain-http", "--output", "-", f"{image}@{_DIGEST}")
    if registry.tokens:
        assert any("push" in " ".join(asked) for asked in registry.tokens.asked)


def test_tls_is_trusted_by_its_authority_only(registry_tls: Registry, crane: Crane, tmp_path: Path) -> None:
    repository = registry_tls.repository()
    with pytest.raises(AssertionError, match="x509"):
        _push(crane, repository, "one", tmp_path)
    trusting = Crane(crane.path, {"SSL_CERT_FILE": str(registry_tls.ca)})
    assert _push(trusting, repository, "one", tmp_path).startswith("sha256:")


def test_podman_runs_a_container_of_its_own(podman: Podman, tmp_path: Path) -> None:
    storage = Path(podman.env["CONTAINERS_STORAGE_CONF"]).parent
    assert Path(podman("info", "--format", "{{.Store.GraphRoot}}")).is_relative_to(storage)
    tar = tmp_path / "root.tar"
    busybox = program("busybox")
    subprocess.run(["tar", "-cf", tar, "-C", Path(busybox).parent, "busybox"], check=True)
    podman("import", tar, "localhost/busybox:here")
    assert podman("run", "--rm", "localhost/busybox:here", "/busybox", "echo", "it runs") == "it runs"


def test_docker_runs_a_container_of_its_own(dockerd: Docker, tmp_path: Path) -> None:
    tar = tmp_path / "root.tar"
    busybox = program("busybox")
    subprocess.run(["tar", "-cf", tar, "-C", Path(busybox).parent, "busybox"], check=True)
    dockerd("import", tar, "here:busybox")
    ran = dockerd(
        "run", "--rm", "--network", "host", "--ulimit", "nofile=1024:1024",
        "here:busybox", "/busybox", "echo", "it runs",
    )  # fmt: skip
    assert ran == "it runs"


def test_commits_are_the_same_each_time(git_repository: Callable[..., Checkout]) -> None:
    one, two = git_repository("one"), git_repository("two")
    assert one.commit("first", {"a": "b"}) == two.commit("first", {"a": "b"})
    assert one.commit("second") != GitSha(one.git("rev-parse", "HEAD~1"))


def test_the_pushgateway_keeps_what_was_pushed(pushgateway: Pushgateway) -> None:
    pushed = urllib.request.Request(f"{pushgateway.url}/metrics/job/parts", data=b"here 1\n", method="PUT")
    with urllib.request.urlopen(pushed, timeout=10):
        pass
    assert 'here{instance="",job="parts"} 1' in pushgateway.metrics()
