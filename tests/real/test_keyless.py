"""Signing keyless, against a real Sigstore; and what it says when a part of it does not do its part."""

import json
import socket
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import jwt
import pytest

from immutag.core.errors import ConfigInvalid, SoftVerifyToolError
from immutag.core.statement import COSIGN_SIGN, Statement, Subject
from immutag.core.values import Digest
from immutag.trust import Signer
from immutag.trust.formats.bundle import CertificateChain, parse_bundle
from immutag.trust.formats.certificate import identity_of
from immutag.trust.formats.dsse import Envelope
from immutag.trust.signing import keyless
from immutag.trust.signing.keyless import KeylessSigner
from immutag.trust.signing.services import Services
from tests.parts.processes import free_port
from tests.parts.sigstore import Sigstore

pytestmark = pytest.mark.slow

STATEMENT = Statement((Subject("", Digest("sha256:" + "a" * 64), {}),), COSIGN_SIGN, {}).encode()


@pytest.fixture
def services(sigstore: Sigstore) -> Services:
    return Services(sigstore.signing_config, sigstore.trusted_root)


@pytest.fixture
def person(sigstore: Sigstore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGSTORE_ID_TOKEN", sigstore.token("dev@example.com"))


@pytest.mark.usefixtures("person")
def test_statements_are_signed_with_one_certificate_as_they_are(
    sigstore: Sigstore, services: Services
) -> None:
    signer = KeylessSigner(services)
    bundles = [parse_bundle(signer.bundle(content)) for content in (STATEMENT, STATEMENT[:-1] + b" }")]
    assert signer.name == f"dev@example.com ({sigstore.issuer})"
    materials = [each.material for each in bundles]
    assert materials[0] == materials[1]
    assert isinstance(materials[0], CertificateChain)
    assert str(identity_of(materials[0].leaf)) == signer.name
    contents = [each.content for each in bundles]
    assert [each.payload for each in contents if isinstance(each, Envelope)] == [
        STATEMENT,
        STATEMENT[:-1] + b" }",
    ]
    assert all(each.timestamps and each.log_entries for each in bundles)


@pytest.mark.usefixtures("person")
def test_there_is_no_old_form_of_it(services: Services) -> None:
    signer: Signer = KeylessSigner(services)
    assert signer.simple(b"{}") is None


def test_a_job_signs_as_its_workflow(
    sigstore: Sigstore, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in sigstore.workflow_environment("owner/api", ref="refs/heads/main").items():
        monkeypatch.setenv(name, value)
    signer = KeylessSigner(services)
    assert signer.name == f"{sigstore.workflow('owner/api')} ({sigstore.workflow_issuer})"


@pytest.mark.usefixtures("person")
def test_another_certificate_is_asked_for_when_ones_time_is_nearly_over(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    signer = KeylessSigner(services)
    first = signer._key()
    assert signer._key() is first
    monkeypatch.setattr(keyless, "_MARGIN", timedelta(minutes=10))  # as long as it lasts
    assert signer._key()[1].serial_number != first[1].serial_number


# --- without an identity


def test_without_an_identity_nothing_is_signed(services: Services) -> None:
    with pytest.raises(ConfigInvalid) as raised:
        KeylessSigner(services)
    assert "id-token: write" in raised.value.remedy


def test_a_job_that_may_have_no_identity_is_told_how_it_may(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    with pytest.raises(ConfigInvalid) as raised:
        KeylessSigner(services)
    assert raised.value.expected == "permissions: id-token: write"


def test_a_ci_that_does_not_give_the_token_it_promises_is_no_verdict(
    sigstore: Sigstore, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in sigstore.workflow_environment().items():
        monkeypatch.setenv(name, value.replace("/github/request", "/nothing"))
    with pytest.raises(SoftVerifyToolError):
        KeylessSigner(services)


@pytest.mark.parametrize("claims", [{"exp": 2}, {"aud": "another"}, {"exp": None}])
def test_a_token_that_cannot_be_used_is_refused_and_not_shown(
    services: Services, claims: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    token = _self_made(**claims)
    monkeypatch.setenv("SIGSTORE_ID_TOKEN", token)
    with pytest.raises(ConfigInvalid) as raised:
        KeylessSigner(services)
    assert not any(part in str(raised.value.as_json()) for part in token.split("."))
    assert raised.value.__cause__ is None


def _self_made(**claims: object) -> str:
    """A token that nobody whom Fulcio trusts has signed."""
    usual = {"iss": "http://127.0.0.1:1", "aud": "sigstore", "sub": "x", "iat": 1, "exp": 4102444800}
    return jwt.encode({name: value for name, value in {**usual, **claims}.items() if value}, "k" * 32)


# --- services that do not do their part


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def _with_other(sigstore: Sigstore, folder: Path, **urls: str) -> Services:
    """Services that are elsewhere."""
    document = json.loads(sigstore.signing_config.read_text())
    for name, url in urls.items():
        document[name][0]["url"] = url
    path = folder / "signing_config.json"
    path.write_text(json.dumps(document))
    return Services(path, sigstore.trusted_root)


@pytest.mark.usefixtures("person")
@pytest.mark.parametrize("service", ["caUrls", "rekorTlogUrls", "tsaUrls"])
def test_a_service_that_is_away_is_no_signature(sigstore: Sigstore, tmp_path: Path, service: str) -> None:
    signer = KeylessSigner(_with_other(sigstore, tmp_path, **{service: f"http://127.0.0.1:{free_port()}"}))
    with pytest.raises(SoftVerifyToolError):
        signer.bundle(STATEMENT)


@pytest.mark.usefixtures("person")
@pytest.mark.parametrize("service", ["caUrls", "rekorTlogUrls"])
def test_a_service_that_never_answers_is_left(
    sigstore: Sigstore, tmp_path: Path, silent: str, service: str
) -> None:
    signer = KeylessSigner(_with_other(sigstore, tmp_path, **{service: silent}), timeout_s=0.5)
    with pytest.raises(SoftVerifyToolError) as raised:
        signer.bundle(STATEMENT)
    assert raised.value.found == "none"


def test_a_refusal_of_fulcios_is_no_signature(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGSTORE_ID_TOKEN", _self_made())
    with pytest.raises(SoftVerifyToolError) as raised:
        KeylessSigner(services).bundle(STATEMENT)
    assert "FulcioClientError" in raised.value.found


def test_a_sigstore_of_ones_own_needs_its_root_of_trust(sigstore: Sigstore) -> None:
    with pytest.raises(ConfigInvalid):
        Services(sigstore.signing_config)


@pytest.mark.usefixtures("person")
@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"\xff", b'{"mediaType": "else"}', None])
@pytest.mark.parametrize("which", ["signing_config", "trusted_root"])
def test_files_that_cannot_be_used_are_named(
    sigstore: Sigstore, tmp_path: Path, content: bytes | None, which: str
) -> None:
    path = tmp_path / "of-sigstore.json"
    if content is not None:
        path.write_bytes(content)
    files = {"signing_config": sigstore.signing_config, "trusted_root": sigstore.trusted_root, which: path}
    with pytest.raises(ConfigInvalid) as raised:
        KeylessSigner(Services(**files))
    assert "of-sigstore.json" in raised.value.found
