"""Push an image from an OCI layout to a registry, and pull it back, beside crane, oras, regctl and skopeo.

    python -m benchmarks.push [--runs 5] [--layers 50,50,50,50] [--tls] [--registry 2|3]

Every figure is of a whole process, start-up included: the median of the runs, the ratio to crane's (more
than 1 is faster than crane), and the peak resident memory. Every digest is checked on our way back. Beside
it the seconds of CPU that the registry spent, which no client gets below.
"""

import argparse
import contextlib
import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.compiled import compile_sources
from tests.parts.certificates import Authority
from tests.parts.programs import peer, program
from tests.parts.registries import Registry, distribution

_MIB = 1024 * 1024
_GZIP = b"\x1f\x8b\x08"
_PUSH = """
import sys
from pathlib import Path
from immutag.core.values import Repository
from immutag.oci.copy import copy
from immutag.oci.http import Http
from immutag.oci.layout import Layout
from immutag.oci.registry import Registry
layout, repository, ca = sys.argv[1:]
with Http(ca=Path(ca) if ca else None) as http:
    source = Layout(Path(layout))
    copy(source, Registry(Repository.parse(repository), http=http, plain_http=not ca), source.root())
"""
_PULL = """
import sys
from pathlib import Path
from immutag.core.values import Digest, Repository
from immutag.oci.copy import copy
from immutag.oci.http import Http
from immutag.oci.layout import Layout
from immutag.oci.registry import Registry
layout, repository, ca, digest = sys.argv[1:]
with Http(ca=Path(ca) if ca else None) as http:
    source = Registry(Repository.parse(repository), http=http, plain_http=not ca)
    root = source.describe(Digest(digest))
    target = Layout.create(Path(layout))
    copy(source, target, root)
    target.set_root(root)
"""
# A process counts the memory of the one that started it as its own, so a small one starts it.
_STARTER = """
import os, sys, time
started = time.perf_counter()
null = [(os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)]
child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=null)
_, status, usage = os.wait4(child, 0)
print(time.perf_counter() - started, usage.ru_maxrss)
sys.exit(status != 0)
"""


@dataclass(frozen=True, slots=True)
class Run:
    """One whole process."""

    seconds: float
    peak_kib: int


def make_layout(folder: Path, layers_bytes: Sequence[int]) -> str:
    """A layout with random layers, written and hashed block by block; the root's digest."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    kind = "application/vnd.oci.image.layer.v1.tar+gzip"
    layers = [_descriptor(kind, *_random_blob(blobs, size)) for size in layers_bytes]
    rootfs = {"type": "layers", "diff_ids": [layer["digest"] for layer in layers]}
    config = _small_blob(blobs, {"architecture": "amd64", "os": "linux", "config": {}, "rootfs": rootfs})
    kind = "application/vnd.oci.image.manifest.v1+json"
    config_kind = "application/vnd.oci.image.config.v1+json"
    manifest = {"schemaVersion": 2, "mediaType": kind, "config": _descriptor(config_kind, *config)}
    digest, size = _small_blob(blobs, {**manifest, "layers": layers})
    index = {"schemaVersion": 2, "manifests": [_descriptor(kind, digest, size)]}
    (folder / "index.json").write_text(json.dumps(index))
    (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    return digest


def _random_blob(blobs: Path, size: int) -> tuple[str, int]:
    """It begins as gzip does, or skopeo would compress it on its way. Nothing unpacks it."""
    hashing, left = hashlib.sha256(), size
    with (blobs / "new").open("wb") as file:
        while left:
            block = (b"" if left < size else _GZIP) + os.urandom(min(left, _MIB))
            block = block[: min(left, _MIB)]
            hashing.update(block)
            file.write(block)
            left -= len(block)
    (blobs / "new").rename(blobs / hashing.hexdigest())
    return f"sha256:{hashing.hexdigest()}", size


def _small_blob(blobs: Path, document: dict[str, object]) -> tuple[str, int]:
    text = json.dumps(document).encode()
    name = hashlib.sha256(text).hexdigest()
    (blobs / name).write_bytes(text)
    return f"sha256:{name}", len(text)


def _descriptor(kind: str, digest: str, size: int) -> dict[str, object]:
    return {"mediaType": kind, "digest": digest, "size": size}


def measure(argv: Sequence[str]) -> Run:
    """Run it to its end. Raises with what it said if it failed."""
    starter = subprocess.run(
        [sys.executable, "-I", "-S", "-c", _STARTER, *argv], capture_output=True, check=False
    )
    if starter.returncode:
        raise RuntimeError(f"{argv}: {starter.stderr.decode(errors='replace')[-2000:]}")
    seconds, peak_kib = starter.stdout.split()[-2:]
    return Run(float(seconds), int(peak_kib))


def cpu_s(pid: int) -> float:
    """What a process has computed so far (proc_pid_stat(5): utime and stime)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _pushers(layout: Path, tls: bool, ca: str) -> dict[str, Callable[[str], list[str]]]:
    plain = [] if tls else ["--plain-http"]
    certificate = ["--ca-file", ca] if tls else []
    verify = [] if tls else ["--dest-tls-verify=false"]
    return {
        "immutag": lambda to: [sys.executable, "-c", _PUSH, str(layout), to, ca],
        "crane": lambda to: [peer("crane"), "push", str(layout), f"{to}:t"],
        "oras": lambda to: [
            peer("oras"), "cp", "--from-oci-layout", f"{layout}:t",
            *(f"--to-{option.lstrip('-')}" if option.startswith("--") else option
              for option in (*plain, *certificate)), f"{to}:t",
        ],
        "regctl": lambda to: [peer("regctl"), "image", "copy", f"ocidir://{layout}:t", f"{to}:t"],
        "skopeo": lambda to: [program("skopeo"), "copy", *verify, f"oci:{layout}:t", f"docker://{to}:t"],
    }  # fmt: skip


def _pullers(digest: str, tls: bool, ca: str) -> dict[str, Callable[[str, Path], list[str]]]:
    plain = ["--from-ca-file", ca] if tls else ["--from-plain-http"]
    verify = [] if tls else ["--src-tls-verify=false"]
    skopeo = [program("skopeo"), "copy", *verify]
    return {
        "immutag": lambda of, to: [sys.executable, "-c", _PULL, str(to), of, ca, digest],
        "crane": lambda of, to: [peer("crane"), "pull", "--format=oci", f"{of}@{digest}", str(to)],
        "oras": lambda of, to: [peer("oras"), "cp", *plain, "--to-oci-layout", f"{of}@{digest}", f"{to}:t"],
        "regctl": lambda of, to: [peer("regctl"), "image", "copy", f"{of}@{digest}", f"ocidir://{to}:t"],
        "skopeo": lambda of, to: [*skopeo, f"docker://{of}@{digest}", f"oci:{to}:t"],
    }  # fmt: skip


def _start_up() -> float:
    """Our share that no transfer has: Python and the imports, as a release has paid for them already."""
    imports = _PUSH[: _PUSH.index("layout,")] + "import immutag.oci.transfer"
    return statistics.median(measure([sys.executable, "-c", imports]).seconds for _ in range(5))


def _show(title: str, runs: dict[str, list[Run]], registry_s: dict[str, float], start_up_s: float) -> None:
    crane = statistics.median(run.seconds for run in runs["crane"])
    print(title)
    for name, measured in runs.items():
        seconds = statistics.median(run.seconds for run in measured)
        peak = max(run.peak_kib for run in measured) / 1024
        registry = f"registry {registry_s[name] / len(measured):5.2f} s of CPU"
        print(f"  {name:8} {seconds:6.3f} s   {crane / seconds:5.2f} x crane   {peak:6.1f} MiB   {registry}")
        if name == "immutag":
            transfer = seconds - start_up_s
            print(f"  transfer {transfer:6.3f} s   {crane / transfer:5.2f} x crane   without start-up")


@contextlib.contextmanager
def _surroundings(tls: bool, which: str, work: Path) -> Iterator[Registry]:
    """A registry of our own, and certificates that every client finds."""
    binary = peer("registry") if which == "3" else program("docker-registry")
    authority = Authority.create(work) if tls else None
    with distribution(binary, work / "registry", authority=authority) as registry:
        os.environ["REGCTL_CONFIG"] = str(work / "regctl.json")
        if registry.ca is None:
            subprocess.run(
                [peer("regctl"), "registry", "set", registry.host, "--tls", "disabled"], check=True
            )
        else:
            os.environ["SSL_CERT_FILE"] = str(registry.ca)
            subprocess.run(
                [peer("regctl"), "registry", "set", registry.host, "--cacert", registry.ca.read_text()],
                check=True,
            )
        yield registry


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--layers", default="50,50,50,50", help="sizes in MiB")
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--registry", choices=("2", "3"), default="2", help="distribution 2.8 or 3")
    parser.add_argument("--only", default="immutag,crane,oras,regctl,skopeo")
    return parser.parse_args()


def main() -> None:
    compile_sources()
    options = _options()
    chosen = options.only.split(",")
    with tempfile.TemporaryDirectory(prefix="immutag-push-") as temporary:
        work = Path(temporary)
        digest = make_layout(work / "layout", [int(size) * _MIB for size in options.layers.split(",")])
        _name_root(work / "layout")
        with _surroundings(options.tls, options.registry, work) as registry:
            ca = str(registry.ca) if registry.ca else ""
            pushed: dict[str, list[Run]] = {name: [] for name in chosen}
            pulled: dict[str, list[Run]] = {name: [] for name in chosen}
            push_s, pull_s = dict.fromkeys(chosen, 0.0), dict.fromkeys(chosen, 0.0)
            pushers = _pushers(work / "layout", options.tls, ca)
            pullers = _pullers(digest, options.tls, ca)
            for _ in range(options.runs):
                for name in chosen:
                    shutil.rmtree(work / "registry" / "data", ignore_errors=True)
                    target, image = work / "pulled", f"{registry.host}/bench/{name}"
                    before_s = cpu_s(registry.server.pid)
                    pushed[name].append(measure(pushers[name](image)))
                    between_s = cpu_s(registry.server.pid)
                    pulled[name].append(measure(pullers[name](image, target)))
                    push_s[name] += between_s - before_s
                    pull_s[name] += cpu_s(registry.server.pid) - between_s
                    shutil.rmtree(target)
        over = "TLS" if options.tls else "plain HTTP"
        size = f"layers of {options.layers} MiB, distribution {options.registry}, {over}"
        start_up_s = _start_up()
        _show(f"push, {size}", pushed, push_s, start_up_s)
        _show(f"pull, {size}", pulled, pull_s, start_up_s)


def _name_root(layout: Path) -> None:
    """Some clients find the image only by a tag."""
    index = json.loads((layout / "index.json").read_text())
    index["manifests"][0]["annotations"] = {"org.opencontainers.image.ref.name": "t"}
    (layout / "index.json").write_text(json.dumps(index))


if __name__ == "__main__":
    main()
