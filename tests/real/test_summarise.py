"""Summaries where the credential cannot write to the registry: the ledger has them all the same."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from immutag.core.errors import SoftVerifyToolError
from immutag.core.facts import (
    Deploying,
    Entry,
    Healthy,
    Outcome,
    SignatureReason,
    SignatureStatus,
    Stream,
    Summarised,
)
from immutag.core.policy import Enforcement
from immutag.core.summary import Policy
from immutag.core.values import Digest, EnvironmentName, Repository, RepositoryType
from immutag.ledger.sqlite import SqliteLedger
from immutag.oci.copy import copy
from immutag.oci.http import Http
from immutag.oci.layout import Layout
from immutag.oci.registry import Registry
from immutag.trust.formats.bundle import parse_bundle
from immutag.trust.formats.dsse import Envelope
from immutag.trust.formats.in_toto import parse_statement
from immutag.trust.signing.key_signer import KeySigner
from immutag.usecases.summarise import Summarising, summarise
from tests.parts import registries
from tests.parts.attested import SHA, SIGNER, Fickle
from tests.parts.builders import Progress
from tests.parts.images import add_image, descriptor, finish
from tests.parts.keys import a_key
from tests.parts.peers import Crane
from tests.parts.programs import program

PRODUCTION = EnvironmentName("production")
POLICY = Policy(Enforcement.SOFT, (SIGNER,), (), transparency_log=False)


class Site:
    """An image in a registry, and a ledger in which it came to run."""

    def __init__(self, registry: Registry, digest: Digest, ledger: SqliteLedger) -> None:
        self.registry, self.digest, self.ledger = registry, digest, ledger
        self.stream = Stream.environment(registry.repository, PRODUCTION)
        self.signer = KeySigner(Fickle(a_key()))
        self.report = Progress()

    def deployed(self) -> None:
        repository: Repository = self.registry.repository
        begun = Deploying(
            sha=SHA,
            repository=repository,
            digest=self.digest,
            accepted=(self.digest,),
            repository_type=RepositoryType.CANONICAL,
            environment=PRODUCTION,
            target="podman",
            command="deploy",
            automatic=False,
            reason=None,
            previous_sha=None,
            previous_image=None,
            commits_ahead=None,
            signature_status=SignatureStatus.VERIFIED,
            signature_reason=SignatureReason.NOT_APPLICABLE,
            held=False,
            quarantined=(),
            holder="here",
            until="2026-01-02T03:05:00.000Z",
        )
        healthy = Healthy(SHA, repository, self.digest, PRODUCTION, Outcome.OK, self.digest, 900)
        version = len(self.ledger.stream(self.stream))
        self.ledger.append(self.stream, begun, after=version)
        self.ledger.append(self.stream, healthy, after=version + 1)

    def summarise(self) -> Entry | None:
        by = Summarising(
            self.signer, POLICY, "urn:immutag:builder:local", self.registry, self.registry, lambda: None
        )
        return summarise(
            stream=self.stream, ledger=self.ledger, inputs=[], proved=False, by=by, report=self.report
        )


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[SqliteLedger]:
    opened = SqliteLedger(tmp_path / "ledger.db", actor="tester@here")
    yield opened
    opened.close()


@pytest.fixture
def http_client() -> Iterator[Http]:
    client = Http(environ={})
    yield client
    client.close()


def pushed(part: registries.Registry, http: Http, folder: Path) -> Registry:
    registry = Registry(Repository(part.host, "api"), http=http)
    copy(Layout(finish(folder / "image", image_in(folder))), registry, descriptor(image_in(folder)))
    return registry


def image_in(folder: Path) -> dict[str, Any]:
    return add_image(folder / "image", b"content")


def summarised(entry: Entry | None) -> Summarised:
    assert entry is not None
    assert isinstance(entry.fact, Summarised)
    return entry.fact


def test_a_registry_that_takes_nothing_leaves_the_summary_in_the_ledger(
    tmp_path: Path, http_client: Http, ledger: SqliteLedger
) -> None:
    binary = program("docker-registry")
    with registries.distribution(binary, tmp_path) as writable:
        pushed(writable, http_client, tmp_path)
    with registries.distribution(binary, tmp_path, readonly=True) as part:
        digest = descriptor(image_in(tmp_path)).digest
        site = Site(Registry(Repository(part.host, "api"), http=http_client), digest, ledger)
        site.deployed()
        fact = summarised(site.summarise())
    assert fact.manifest is None
    assert any("stays in the ledger alone" in line for line in site.report.lines)
    content = parse_bundle(fact.bundle.encode()).content
    assert isinstance(content, Envelope)
    assert site.signer.public.verify(content.signatures[0].value, content.signed())
    assert parse_statement(content.payload).is_about(digest)


def test_each_act_has_one_summary_and_it_lies_beside_the_image(
    registry_referrers: registries.Registry,
    tmp_path: Path,
    http_client: Http,
    ledger: SqliteLedger,
    crane: Crane,
) -> None:
    registry = pushed(registry_referrers, http_client, tmp_path)
    site = Site(registry, descriptor(image_in(tmp_path)).digest, ledger)
    assert site.summarise() is None, "nothing has been deployed"
    site.deployed()
    first = site.summarise()
    assert site.summarise() == first
    manifest = crane.manifest(f"{registry.repository}@{summarised(first).manifest}")
    assert manifest["subject"]["digest"] == str(site.digest)
    site.deployed()
    assert site.summarise() != first
    assert [entry.fact.type for entry in ledger.stream(site.stream)].count("summarised") == 2


def test_a_signer_that_fails_leaves_no_summary(
    registry_referrers: registries.Registry, tmp_path: Path, http_client: Http, ledger: SqliteLedger
) -> None:
    class Broken(Fickle):
        def sign(self, payload: bytes) -> bytes:
            raise SoftVerifyToolError("no", expected="", found="", remedy="")

    site = Site(
        pushed(registry_referrers, http_client, tmp_path), descriptor(image_in(tmp_path)).digest, ledger
    )
    site.signer = KeySigner(Broken(a_key()))
    site.deployed()
    with pytest.raises(SoftVerifyToolError):
        site.summarise()
    assert [entry.fact.type for entry in ledger.stream(site.stream)] == ["deploying", "healthy"]
