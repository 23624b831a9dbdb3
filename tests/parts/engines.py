"""Container engines with their own storage: nothing of the machine's own engine is seen or touched."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

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
    """podman with runc, host network and bounded limits: what works in a container too."""
    root = Path(tempfile.mkdtemp(prefix="immutag-podman-"))  # a short path: sockets live below it
    engine = Podman(program("podman"), containers_env(root))
    try:
        yield engine
        engine("rm", "--all", "--force", "--time", "0")
    finally:
        remove_storage(root)


def containers_env(root: Path) -> dict[str, str]:
    """Settings files for podman and buildah below `root`, and the variables that name them."""
    (root / "containers.conf").write_text(
        "[containers]\n"
        'netns = "host"\n'
        'default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]\n'
        "[engine]\n"
        'runtime = "runc"\n'
        'cgroup_manager = "cgroupfs"\n'
        'events_logger = "file"\n'
    )
    (root / "storage.conf").write_text(
        "[storage]\n"
        'driver = "vfs"\n'
        f"graphroot = {json.dumps(str(root / 'root'))}\n"
        f"runroot = {json.dumps(str(root / 'run'))}\n"
    )
    (root / "registries.conf").write_text("unqualified-search-registries = []\n")
    return {
        "CONTAINERS_CONF": str(root / "containers.conf"),
        "CONTAINERS_STORAGE_CONF": str(root / "storage.conf"),
        "CONTAINERS_REGISTRIES_CONF": str(root / "registries.conf"),
        "BUILDAH_ISOLATION": "chroot",
        "TMPDIR": os.environ.get("TMPDIR", "/tmp"),
    }


def remove_storage(root: Path) -> None:
    """Delete an engine's folder, and first unmount what the engine left mounted below it."""
    mounted = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    for path in sorted((m for m in mounted if m.startswith(f"{root}/")), reverse=True):
        subprocess.run([program("umount"), path], check=True, timeout=30)
    shutil.rmtree(root)


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
        remove_storage(root)
