"""Start-up, whole processes: what explains itself, and `status` on a ledger of many releases.

    python -m benchmarks.startup [--runs 21] [--releases 10000]

Prints the fastest and the median of the runs in milliseconds, and the ratio of the medians to bare Python's.
Other programs that are on this machine stand beside it. A shared machine is noisy: compare ratios.
"""

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.compiled import compile_sources
from immutag.core.facts import (
    Built,
    Claimed,
    Deploying,
    Fact,
    Healthy,
    Outcome,
    Pushed,
    Requested,
    SignatureReason,
    SignatureStatus,
    Stream,
    Tagged,
    WriteOnce,
)  # fmt: skip
from immutag.core.values import Digest, EnvironmentName, GitSha, Repository, RepositoryType
from immutag.ledger.sqlite import SqliteLedger
from tests.parts.programs import PEERS

_GOALS_MS = {"immutag --version": 50, "immutag --help": 50, "immutag status": 100}
_REPOSITORY = Repository("127.0.0.1:9", "api")
_PRODUCTION = EnvironmentName("production")
_CONFIGURATION = f'[image]\nrepository = "{_REPOSITORY}"\n[environments.production]\ntarget = "podman"\n'
_PEERS = {"crane": ["version"], "oras": ["version"], "regctl": ["version"], "skopeo": ["--version"]}


def main() -> None:
    compile_sources()
    options = _options()
    immutag = str(Path(sys.executable).parent / "immutag")
    with tempfile.TemporaryDirectory(dir=_memory()) as name:
        folder = Path(name)
        (folder / "immutag.toml").write_text(_CONFIGURATION)
        fill(folder / ".immutag/ledger.db", options.releases)
        programs = {
            "python -c pass": [sys.executable, "-c", "pass"],
            "python -c 'import argparse'": [sys.executable, "-c", "import argparse"],
            "immutag --version": [immutag, "--version"],
            "immutag --help": [immutag, "--help"],
            "immutag deploy --help": [immutag, "deploy", "--help"],
            "immutag help exit-codes": [immutag, "help", "exit-codes"],
            "immutag status": [immutag, "status"],
            "immutag history": [immutag, "history"],
            **_peers(),
        }
        times = measure(programs, folder, options.runs)
    show(times, options.releases)


def measure(programs: dict[str, list[str]], folder: Path, runs: int) -> dict[str, list[float]]:
    """Milliseconds of each program, taken in turns so that noise is shared; the first round warms up."""
    times: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(runs + 1):
        for name, argv in programs.items():
            started = time.perf_counter()
            subprocess.run(argv, cwd=folder, stdout=subprocess.DEVNULL, check=True)
            times[name].append((time.perf_counter() - started) * 1000)
    return {name: taken[1:] for name, taken in times.items()}


def show(times: dict[str, list[float]], releases: int) -> None:
    bare = statistics.median(times["python -c pass"])
    print(f"{'':<30}{'fastest':>9}{'median':>9}{'/ bare':>8}  goal   (ms; {releases} releases in the ledger)")
    for name, taken in times.items():
        median = statistics.median(taken)
        goal = f"≤ {_GOALS_MS[name]}" if name in _GOALS_MS else ""
        print(f"{name:<30}{min(taken):9.1f}{median:9.1f}{median / bare:8.2f}  {goal}")


def fill(path: Path, releases: int) -> None:
    """A ledger of that many releases, the last fifty of them deployed."""
    with SqliteLedger(path, actor="benchmark") as ledger:
        stream, version = Stream.environment(_REPOSITORY, _PRODUCTION), 0
        for number in range(1, releases + 1):
            sha, digest = GitSha(f"{number:040x}"), Digest(f"sha256:{number:064x}")
            _release(ledger, sha, digest)
            if number > releases - 50:
                version = _deploy(ledger, stream, version, sha, digest)


def _release(ledger: SqliteLedger, sha: GitSha, digest: Digest) -> None:
    kind = "application/vnd.oci.image.manifest.v1+json"
    facts: tuple[Fact, ...] = (
        Requested(sha, _REPOSITORY, RepositoryType.CANONICAL, "main", None),
        Built(sha, _REPOSITORY, digest, kind, 500, "linux/amd64", "buildah", 1000),
        Pushed(sha, _REPOSITORY, digest, 100),
        Claimed(sha, _REPOSITORY, digest, kind, 500),
        Tagged(sha, _REPOSITORY, digest, False, WriteOnce.CONVENTION),
    )
    stream = Stream.release(_REPOSITORY, sha)
    for version, fact in enumerate(facts):
        ledger.append(stream, fact, after=version)


def _deploy(ledger: SqliteLedger, stream: Stream, version: int, sha: GitSha, digest: Digest) -> int:
    deploying = Deploying(
        sha=sha, repository=_REPOSITORY, digest=digest, accepted=(digest,),
        repository_type=RepositoryType.CANONICAL,
        environment=_PRODUCTION, target="podman", command="deploy", automatic=True, reason=None,
        previous_sha=None, previous_image=None, commits_ahead=1, signature_status=SignatureStatus.UNVERIFIED,
        signature_reason=SignatureReason.MISSING, held=False, quarantined=(), holder="benchmark",
        until="2020-01-01T00:00:00.000Z",
    )  # fmt: skip
    ledger.append(stream, deploying, after=version)
    healthy = Healthy(sha, _REPOSITORY, digest, _PRODUCTION, Outcome.OK, digest, 1000)
    ledger.append(stream, healthy, after=version + 1)
    return version + 2


def _memory() -> str | None:
    """A folder in memory, where there is one: making the ledger is not what is measured."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


def _peers() -> dict[str, list[str]]:
    found = {name: shutil.which(name, path=f"{PEERS / 'bin'}:/usr/bin") for name in _PEERS}
    return {f"{name} {_PEERS[name][0]}": [path, *_PEERS[name]] for name, path in found.items() if path}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=21)
    parser.add_argument("--releases", type=int, default=10_000)
    return parser.parse_args()


if __name__ == "__main__":
    main()
