"""Certificates' signatures against a real Sigstore, by our own signer and by cosign, on real registries."""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from immutag.core.errors import SoftVerifyToolError
from immutag.core.facts import SignatureReason
from immutag.core.statement import SLSA_PROVENANCE
from immutag.core.trust import IdentityRule, Pattern
from immutag.core.verification import Unverified, Verification, Verified
from immutag.oci import Descriptor
from immutag.oci.http import Http
from immutag.oci.registry import Registry
from immutag.trust import verify
from immutag.trust.rule import TrustRule
from immutag.trust.signing.keyless import KeylessSigner
from immutag.trust.signing.services import Services
from tests.parts import registries
from tests.parts.programs import peer
from tests.parts.sigstore import Sigstore
from tests.parts.vouching import attach_bundle, push_image, statement

pytestmark = pytest.mark.slow

PERSON = "dev@example.com"


@pytest.fixture(params=["registry2", "registry_referrers"])
def registry(request: pytest.FixtureRequest) -> Iterator[Registry]:
    part: registries.Registry = request.getfixturevalue(request.param)
    with Http(environ={}) as http:
        yield Registry(part.repository(), http=http)


@pytest.fixture
def image(registry: Registry, tmp_path: Path) -> Descriptor:
    return push_image(registry, tmp_path / "image")


def rule(sigstore: Sigstore, subject: str = PERSON, *, regexp: bool = False, issuer: str = "") -> TrustRule:
    trusted = IdentityRule(Pattern(issuer or sigstore.issuer), Pattern(subject, regexp))
    return TrustRule(identities=(trusted,), trusted_root=sigstore.trusted_root)


@pytest.fixture
def sign(sigstore: Sigstore, registry: Registry, image: Descriptor) -> Callable[..., None]:
    """By cosign 3, as a person."""

    def run(*command: str) -> None:
        subprocess.run(
            [
                peer("cosign"), *(command or ("sign",)), "-y", "--identity-token", sigstore.token(PERSON),
                "--signing-config", str(sigstore.signing_config), "--trusted-root",
                str(sigstore.trusted_root), "--allow-http-registry",
                f"{registry.repository}@{image.digest}",
            ],
            check=True, capture_output=True,
        )  # fmt: skip

    return run


def reason(found: Verification) -> tuple[SignatureReason, str | None]:
    assert isinstance(found, Unverified)
    return found.reason, found.candidates[0].refused_by


def test_cosigns_keyless_signature_is_verified(
    sigstore: Sigstore, registry: Registry, image: Descriptor, sign: Callable[..., None]
) -> None:
    sign()
    found = verify(registry, image.digest, rule(sigstore))
    assert isinstance(found, Verified)
    assert found.signer == f"{PERSON} ({sigstore.issuer})"
    pattern = rule(sigstore, r".*@example\.com", regexp=True)
    assert isinstance(verify(registry, image.digest, pattern), Verified)


@pytest.mark.parametrize("subject", ["someone@example.com", "dev@example.co", "dev@example.com "])
def test_a_valid_signature_of_somebody_else_is_a_mismatch(
    sigstore: Sigstore, registry: Registry, image: Descriptor, sign: Callable[..., None], subject: str
) -> None:
    sign()
    mismatch = (SignatureReason.IDENTITY_MISMATCH, "7 identity")
    assert reason(verify(registry, image.digest, rule(sigstore, subject))) == mismatch
    anchored = rule(sigstore, subject.strip()[:7], regexp=True)  # must match all of it
    assert reason(verify(registry, image.digest, anchored)) == mismatch
    elsewhere = rule(sigstore, issuer="https://accounts.example.com")
    assert reason(verify(registry, image.digest, elsewhere)) == mismatch


def test_cosigns_provenance_is_verified(
    sigstore: Sigstore, registry: Registry, image: Descriptor, sign: Callable[..., None], tmp_path: Path
) -> None:
    (tmp_path / "predicate.json").write_text(
        json.dumps({"buildDefinition": {"buildType": "x", "externalParameters": {}, "internalParameters": {},
                    "resolvedDependencies": []}, "runDetails": {"builder": {"id": "https://example.com"}}})
    )  # fmt: skip
    sign("attest", "--type", "slsaprovenance1", "--predicate", str(tmp_path / "predicate.json"))
    assert isinstance(verify(registry, image.digest, rule(sigstore)), Verified)


def test_a_job_vouches_for_what_it_signs(
    sigstore: Sigstore, registry: Registry, image: Descriptor, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in sigstore.workflow_environment("owner/api").items():
        monkeypatch.setenv(name, value)
    signer = KeylessSigner(Services(sigstore.signing_config, sigstore.trusted_root))
    attach_bundle(registry, image, signer.bundle(statement(image.digest, predicate_type=SLSA_PROVENANCE)))
    trusted = rule(sigstore, sigstore.workflow("owner/api"), issuer=sigstore.workflow_issuer)
    found = verify(registry, image.digest, trusted)
    assert isinstance(found, Verified)
    assert found.signer == signer.name
    another = rule(sigstore, sigstore.workflow("owner/other"), issuer=sigstore.workflow_issuer)
    assert reason(verify(registry, image.digest, another))[0] is SignatureReason.IDENTITY_MISMATCH


def test_a_key_whose_signature_a_log_must_hold(
    sigstore: Sigstore, registry: Registry, image: Descriptor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """cosign with a key and Rekor v2; without the log the same key is not enough."""
    from immutag.trust.public_key import load_public_key

    monkeypatch.setenv("COSIGN_PASSWORD", "secret")
    cosign = peer("cosign")
    subprocess.run([cosign, "generate-key-pair"], cwd=tmp_path, check=True, capture_output=True)
    logged = TrustRule(
        (load_public_key(tmp_path / "cosign.pub"),),
        transparency_log=True,
        trusted_root=sigstore.trusted_root,
    )
    config = tmp_path / "empty.json"
    subprocess.run([cosign, "signing-config", "create", "--out", config], check=True, capture_output=True)
    for services, expected in ((config, False), (sigstore.signing_config, True)):
        subprocess.run(
            [
                cosign, "sign", "-y", "--key", "cosign.key", "--signing-config", services,
                "--allow-http-registry", f"{registry.repository}@{image.digest}",
            ],
            cwd=tmp_path, check=True, capture_output=True,
        )  # fmt: skip
        found = verify(registry, image.digest, logged)
        assert isinstance(found, Verified) == expected
        if not expected:
            assert reason(found) == (SignatureReason.INVALID, "8 transparency log")


def test_a_root_that_cannot_be_read_decides_nothing(
    sigstore: Sigstore, registry: Registry, image: Descriptor, sign: Callable[..., None], tmp_path: Path
) -> None:
    sign()
    broken = tmp_path / "root.json"
    content = sigstore.trusted_root.read_text()
    for text in ("", "{}", "[]", content[:-20], content.replace('"tlogs"', '"logs"')):
        broken.write_text(text)
        trusted = TrustRule(identities=rule(sigstore).identities, trusted_root=broken)
        with pytest.raises(SoftVerifyToolError):
            verify(registry, image.digest, trusted)
    with pytest.raises(SoftVerifyToolError):
        verify(
            registry, image.digest,
            TrustRule(identities=rule(sigstore).identities, trusted_root=tmp_path / "none"),
        )  # fmt: skip
