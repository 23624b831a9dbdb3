"""Container engines with their own storage: nothing of the machine's own engine is seen or touched."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.containers import engine_environment, remove_storage
from tests.parts.peers import Peer
from tests.parts.processes import server
from tests.parts.programs import program


class Podman(Peer):
    """podman (and buildah) of the tests. `env` makes any other process use the same storage and settings."""

    __slots__ = ()


class Docker(Peer):
    """The docker client, talking to the tests' own dockerd. `env` does the same for any other process."""

    __slots__ = ()


@pytest.fixture(scope="session")
def podman() -> Iterator[Podman]:
    """podman with host network, and with whatever else it needs to run on this machine."""
    root = Path(tempfile.mkdtemp(prefix="immutag-podman-"))  # a short path: sockets live below it
    engine = Podman(program("podman"), engine_environment(root, Path(program("busybox"))))
    try:
        yield engine
        engine("rm", "--all", "--force", "--time", "0")
    finally:
        remove_storage(root, engine.env)


@pytest.fixture(scope="session")
def dockerd() -> Iterator[Docker]:
    """A docker engine with its own data, and the client that talks to it. Needs root, as dockerd does."""
    root = Path(tempfile.mkdtemp(prefix="immutag-docker-"))  # a socket's path has at most 107 bytes
    socket = root / "docker.sock"
    argv = [
        program("dockerd"), "--iptables=false", "--bridge=none", "--storage-driver=vfs",
        "--data-root", str(root / "data"), "--exec-root", str(root / "exec"),
        "--pidfile", str(root / "pid"), "--config-file", str(root / "daemon.json"),
        "--host", f"unix://{socket}",
    ]  # fmt: skip
    (root / "daemon.json").write_text("{}")  # not the machine's
    client = Docker(program("docker"), {"DOCKER_HOST": f"unix://{socket}"})
    try:
        with server(lambda _: argv, log=root / "log", ready=lambda _: client.run("version").returncode == 0):
            yield client
            if running := client("ps", "--all", "--quiet").split():
                client("rm", "--force", *running)
    finally:
        remove_storage(root, {})
