"""The ledger's times on a ledger of many releases: `python benchmarks/ledger.py [RELEASES]` (10,000)."""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from hashlib import sha1
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
    SignatureChecked,
    SignatureReason,
    SignatureStatus,
    Stream,
    Tagged,
    WriteOnce,
)
from immutag.core.values import Digest, EnvironmentName, GitSha, Repository, RepositoryType
from immutag.ledger.chain import START, seal
from immutag.ledger.export import export
from immutag.ledger.head import head_of
from immutag.ledger.sqlite import SqliteLedger
from immutag.ledger.sqlite_file import SqliteFile

REPOSITORY = Repository.parse("ghcr.io/owner/api")
PRODUCTION = EnvironmentName("production")
ENVIRONMENT = Stream.environment(REPOSITORY, PRODUCTION)
DEPLOYED_EACH = 50
REPEATS = 15


def commit(number: int) -> GitSha:
    return GitSha(sha1(str(number).encode(), usedforsecurity=False).hexdigest())


def release(number: int) -> list[Fact]:
    sha, digest = commit(number), Digest(f"sha256:{number:064x}")
    media_type = "application/vnd.oci.image.manifest.v1+json"
    return [
        Requested(sha, REPOSITORY, RepositoryType.CANONICAL, "main", "https://example.org/api"),
        Built(sha, REPOSITORY, digest, media_type, 1234, "linux/amd64", "buildah", 90_000),
        Pushed(sha, REPOSITORY, digest, 2_000),
        Claimed(sha, REPOSITORY, digest, media_type, 1234),
        SignatureChecked(sha, REPOSITORY, digest, SignatureStatus.UNVERIFIED, SignatureReason.MISSING, None),
        Tagged(sha, REPOSITORY, digest, False, WriteOnce.CONVENTION),
    ]


def deployment(number: int) -> list[Fact]:
    sha, digest = commit(number), Digest(f"sha256:{number:064x}")
    return [
        Deploying(
            sha=sha,
            repository=REPOSITORY,
            digest=digest,
            accepted=(digest,),
            repository_type=RepositoryType.CANONICAL,
            environment=PRODUCTION,
            target="podman",
            command="deploy",
            automatic=True,
            reason=None,
            previous_sha=None,
            previous_image=None,
            commits_ahead=DEPLOYED_EACH,
            signature_status=SignatureStatus.UNVERIFIED,
            signature_reason=SignatureReason.MISSING,
            held=False,
            quarantined=(),
            holder="host pid=1",
            until="2026-01-01T00:00:00.000Z",
        ),
        Healthy(sha, REPOSITORY, digest, PRODUCTION, Outcome.OK, digest, 8_000),
    ]


def fill(path: Path, releases: int) -> None:
    """As the ledger would, in one transaction."""
    pairs: list[tuple[Stream, Fact]] = []
    for number in range(releases):
        pairs += [(Stream.release(REPOSITORY, commit(number)), fact) for fact in release(number)]
        if number % DEPLOYED_EACH == 0:
            pairs += [(ENVIRONMENT, fact) for fact in deployment(number)]
    from immutag.ledger.sqlite import _found_by

    versions: dict[Stream, int] = {}
    sequence, previous = 0, START.hash
    file = SqliteFile(path, timeout_s=5)
    with file.transaction() as connection:
        for sequence, (stream, fact) in enumerate(pairs, 1):
            versions[stream] = versions.get(stream, 0) + 1
            entry, text = seal(
                sequence=sequence,
                stream=stream,
                version=versions[stream],
                time="2026-01-01T00:00:00.000Z",
                actor="somebody@somewhere",
                previous=previous,
                fact=fact,
            )
            row = (sequence, text, entry.hash, *_found_by(entry))
            connection.execute("INSERT INTO entries VALUES (?,?,?,?,?,?,?,?,?,?,?)", row)
            previous = entry.hash
    file.close()
    print(f"{releases} releases, {sequence} entries, {path.stat().st_size / 2**20:.0f} MiB")


def show(
    name: str, act: Callable[[], object], *, repeats: int = REPEATS, goal_ms: float | None = None
) -> None:
    """The median and the worst of several runs, beside the goal."""
    times = []
    for _ in range(repeats):
        begun = time.perf_counter()
        act()
        times.append((time.perf_counter() - begun) * 1000)
    median = statistics.median(times)
    beside = f"  goal {goal_ms:g}, ratio {median / goal_ms:.2f}" if goal_ms else ""
    print(f"{name:<44}{median:9.2f} ms, at most {max(times):9.2f}{beside}")


def opened(path: Path, read: Callable[[SqliteLedger], object]) -> Callable[[], None]:
    """A read by a process that has just begun: the file is opened and closed around it."""

    def act() -> None:
        with SqliteLedger(path, actor="bench@here") as ledger:
            read(ledger)

    return act


def main() -> None:
    compile_sources()
    releases = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.db"
        fill(path, releases)
        some = commit(releases // 2)
        show(
            "open, one stream of a release",
            opened(path, lambda ledger: ledger.stream(Stream.release(REPOSITORY, some))),
        )
        show(
            "open, an environment's newest 50",
            opened(path, lambda ledger: ledger.stream(ENVIRONMENT, last=50)),
            goal_ms=15,
        )
        show("open, head", opened(path, lambda ledger: ledger.head()))
        show("open, head with the Merkle root", opened(path, head_of), repeats=3)
        show("open, streams of environments", opened(path, lambda ledger: ledger.streams("environment:")))
        show(
            "open, streams of all releases", opened(path, lambda ledger: ledger.streams("release:", limit=20))
        )
        show("open, the newest 20 releases", opened(path, lambda ledger: ledger.recent(20, kind=Tagged)))
        show("open, about a short SHA", opened(path, lambda ledger: ledger.about(sha=some.value[:12])))
        with SqliteLedger(path, actor="bench@here") as ledger:
            versions = iter(range(10_000))
            more = release(0)[0]
            show("append", lambda: ledger.append(Stream("a"), more, after=next(versions)), goal_ms=5)
            show("verify all", ledger.verify, repeats=1)
            show("export all", lambda: sum(1 for _ in export(ledger)), repeats=1)
            from immutag.metrics import exposition

            show("metrics of all", lambda: exposition(ledger.entries()), repeats=1)
    argv = [sys.executable, "-X", "importtime", "-c", "import immutag.ledger.sqlite"]
    last = subprocess.run(argv, capture_output=True, check=True).stderr.decode().splitlines()[-1]
    print(
        f"import immutag.ledger.sqlite: {int(last.split('|')[1]) / 1000:.0f} ms, all of it under importtime"
    )


if __name__ == "__main__":
    main()
