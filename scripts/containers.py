"""podman and buildah with storage and settings of their own: nothing of the machine's is seen or touched."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tarfile
import time
from collections.abc import Mapping
from pathlib import Path

_PATIENCE_S = 10.0
_LIMITS = 'default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]'
# What works depends on the machine (a container in a container may have no cgroups to give, or a runtime
# that cannot start): the first of these that runs a program is taken.
_CANDIDATES: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    ((), ()),
    ((_LIMITS,), ('runtime = "runc"', 'cgroup_manager = "cgroupfs"')),
    ((_LIMITS,), ('runtime = "crun"', 'cgroup_manager = "cgroupfs"')),
    ((_LIMITS, 'cgroups = "disabled"'), ('cgroup_manager = "cgroupfs"',)),
)


class NoEngine(Exception):
    """podman runs nothing here, with any of the settings that we know."""


def engine_environment(root: Path, busybox: Path) -> dict[str, str]:
    """Variables that give podman and buildah settings and storage below `root`. Raises NoEngine."""
    root.mkdir(parents=True, exist_ok=True)
    env = {
        "CONTAINERS_CONF": str(root / "containers.conf"),
        "CONTAINERS_STORAGE_CONF": str(root / "storage.conf"),
        "CONTAINERS_REGISTRIES_CONF": str(root / "registries.conf"),
        "BUILDAH_ISOLATION": "chroot",
    }
    if os.geteuid() != 0:  # a user's engine would keep some things in the home folder and in /tmp
        env |= {"XDG_DATA_HOME": str(root / "data"), "XDG_CONFIG_HOME": str(root / "config")}
        if "XDG_RUNTIME_DIR" not in os.environ:
            (root / "runtime").mkdir(mode=0o700, exist_ok=True)
            env["XDG_RUNTIME_DIR"] = str(root / "runtime")
    (root / "registries.conf").write_text("unqualified-search-registries = []\n")
    (root / "storage.conf").write_text(
        "[storage]\n"
        'driver = "vfs"\n'  # works on any file system; the images here are small
        f"graphroot = {json.dumps(str(root / 'root'))}\n"
        f"runroot = {json.dumps(str(root / 'run'))}\n"
    )
    said = ""
    for containers, engine in _CANDIDATES:
        (root / "containers.conf").write_text(_settings(root, containers, engine))
        tried = _try(root, busybox, env)
        if tried.returncode == 0:
            return env
        said = tried.stderr.decode(errors="replace").strip()
    raise NoEngine(f"podman runs no container here: {said[-500:]}")


def remove_storage(root: Path, env: Mapping[str, str]) -> None:
    """Delete an engine's folder, once nothing of the engine works in it and nothing is mounted below it.

    An interrupted engine leaves a process for each container, which ends a little after the container.
    """
    deadline = time.monotonic() + _PATIENCE_S
    while working := _working_in(root):
        if time.monotonic() > deadline:
            for pid in working:
                _kill_with_children(pid)
        time.sleep(0.05)
    mounted = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    for path in sorted((m for m in mounted if m.startswith(f"{root}/")), reverse=True):
        subprocess.run(["umount", path], check=True, timeout=30)
    if not root.exists():
        return
    if os.geteuid() != 0:  # some files belong to the users that the engine mapped, and one process maps them
        theirs = [str(root / name) for name in ("root", "run", "data")]
        subprocess.run(
            ["podman", "unshare", "rm", "-rf", *theirs], env={**os.environ, **env}, check=True, timeout=60
        )
        pause = root / "tmp" / "pause.pid"
        if pause.exists():
            os.kill(int(pause.read_text()), signal.SIGKILL)
    shutil.rmtree(root)


def _working_in(root: Path) -> list[int]:
    """The processes whose command line names something below `root`: conmon, podman itself."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if f"{root}/".encode() in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
    return [pid for pid in found if pid != os.getpid()]


def _kill_with_children(pid: int) -> None:
    with contextlib.suppress(OSError):
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for each in (*map(int, children), pid):
            os.kill(each, signal.SIGKILL)


def _settings(root: Path, containers: tuple[str, ...], engine: tuple[str, ...]) -> str:
    return "\n".join(
        [
            "[containers]",
            'netns = "host"',
            *containers,
            "[engine]",
            'events_logger = "file"',
            'lock_type = "file"',  # the other kind is one file in /dev/shm for the whole machine
            f"tmp_dir = {json.dumps(str(root / 'tmp'))}",
            *engine,
            "[network]",
            f"network_config_dir = {json.dumps(str(root / 'networks'))}",
            "",
        ]
    )


def _try(root: Path, busybox: Path, env: Mapping[str, str]) -> subprocess.CompletedProcess[bytes]:
    """Run /busybox true in a container, and leave neither container nor image."""
    archive, image = root / "try.tar", "localhost/try:here"
    with tarfile.open(archive, "w") as tar:
        tar.add(busybox, "busybox")

    def podman(*arguments: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            ["podman", *arguments], env={**os.environ, **env},
            stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=60,
        )  # fmt: skip

    try:
        imported = podman("import", str(archive), image)
        if imported.returncode != 0:
            return imported
        return podman("run", "--rm", "--network", "host", image, "/busybox", "true")
    finally:
        podman("rm", "--all", "--force")
        podman("rmi", "--force", image)
        archive.unlink()
