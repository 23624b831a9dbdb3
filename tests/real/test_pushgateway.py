"""Metrics in a real Pushgateway: what the ledger holds, once, however often it is pushed."""

from dataclasses import dataclass
from pathlib import Path

from immutag.core.facts import Built, Requested, Stream
from immutag.core.values import Digest, GitSha, Repository, RepositoryType
from immutag.ledger.sqlite import SqliteLedger
from immutag.metrics import emit
from immutag.oci.http import Http
from tests.parts.processes import free_port
from tests.parts.pushgateway import Pushgateway

REPOSITORY = Repository.parse("ghcr.io/o/api")
SHA = GitSha("a" * 40)
STREAM = Stream.release(REPOSITORY, SHA)


@dataclass(frozen=True, slots=True)
class Destinations:
    textfile: Path | None
    pushgateway: str | None


class Said:
    """A report that keeps what it was told."""

    def __init__(self) -> None:
        self.steps: list[str] = []

    def step(self, text: str) -> None:
        raise AssertionError(text)

    def warning(self, text: str) -> None:
        self.steps.append(text)

    def output(self, line: str) -> None:
        raise AssertionError(line)

    def transfer(self, label: str, done_bytes: int, total_bytes: int) -> None:
        raise AssertionError(label)


def fill(ledger: SqliteLedger, builds: int) -> None:
    ledger.append(STREAM, Requested(SHA, REPOSITORY, RepositoryType.CANONICAL, None, None), after=0)
    for n in range(builds):
        digest = Digest(f"sha256:{n:064x}")
        ledger.append(
            STREAM, Built(SHA, REPOSITORY, digest, "m", 5, "linux/amd64", "buildah", 100), after=n + 1
        )


def build_counts(gateway: Pushgateway, ledger: SqliteLedger) -> list[str]:
    """What the gateway says of the builds in this ledger."""
    label = f'ledger="{next(ledger.entries()).hash[:16]}"'
    return [
        line.rpartition(" ")[2]
        for line in gateway.metrics().splitlines()
        if line.startswith("image_build_total{") and label in line and 'job="immutag"' in line
    ]


def test_what_is_pushed_replaces_what_was_and_ledgers_do_not_mix(
    pushgateway: Pushgateway, tmp_path: Path
) -> None:
    to, said = Destinations(tmp_path / "immutag.prom", pushgateway.url + "/"), Said()
    with (
        Http(environ={}) as http,
        SqliteLedger(tmp_path / "one.db", actor="one@here") as one,
        SqliteLedger(tmp_path / "two.db", actor="two@here") as two,
    ):
        emit(to, one, http=http, report=said)  # an empty ledger has nothing to say
        assert not (tmp_path / "immutag.prom").exists()
        fill(one, 2)
        fill(two, 5)
        for ledger in (one, two, one, one):
            emit(to, ledger, http=http, report=said)
        assert build_counts(pushgateway, one) == ["2"]
        assert build_counts(pushgateway, two) == ["5"]
        digest = Digest("sha256:" + "f" * 64)
        one.append(STREAM, Built(SHA, REPOSITORY, digest, "m", 5, "linux/amd64", "buildah", 100), after=3)
        emit(to, one, http=http, report=said)
        assert build_counts(pushgateway, one) == ["3"]
    assert 'image_build_total{repository_type="canonical"} 3.0' in (tmp_path / "immutag.prom").read_text()
    assert said.steps == []


def test_a_gateway_that_does_not_take_them_is_reported_and_nothing_fails(
    pushgateway: Pushgateway, tmp_path: Path
) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    with Http(environ={}) as http, SqliteLedger(tmp_path / "ledger.db", actor="x@here") as ledger:
        fill(ledger, 1)
        for address in (nobody, f"{pushgateway.url}/elsewhere"):
            said = Said()
            emit(Destinations(None, address), ledger, http=http, report=said)
            assert len(said.steps) == 1 and said.steps[0].startswith("metrics were not pushed: ")
