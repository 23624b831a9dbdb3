"""What the public Sigstore and GitHub have really signed, against their real roots, with no network."""

import json
from functools import cache
from pathlib import Path

import pytest

from immutag.core.facts import SignatureReason
from immutag.core.frozen import replace
from immutag.core.statement import SLSA_PROVENANCE
from immutag.core.trust import IdentityRule, Pattern
from immutag.core.values import Digest, Repository
from immutag.trust.authority import Authorities
from immutag.trust.checks import Case, attested_by
from immutag.trust.judgement import Check, Refused
from immutag.trust.root import authorities_of, from_file
from immutag.trust.rule import TrustRule
from scripts.sigstore_conformance import DONE, REFUSED, UNSUPPORTED, main

VECTORS = Path(__file__).parent.parent / "vectors" / "sigstore"
PUBLIC, OF_GITHUB = "trusted_root.json", "github_trusted_root.json"
ACTIONS = "https://token.actions.githubusercontent.com"
REUSABLE = (
    "https://github.com/github/artifact-attestations-workflows/.github/workflows/attest.yml"
    "@09b495c3f12c7881b3cc17209a327792065c1a1d"
)
NPM_DIGEST = (
    "sha512:46d4e2f74c4877316640000a6fdf8a8b59f1e0847667973e9859f774dd31b8f1e0937813b777fb66a2ac67d50540fe"
    "34640966eee9fc2ccca387082b4c85cd3c"
)
REAL = [
    ("npm-provenance.json", PUBLIC, ACTIONS,
     "https://github.com/sigstore/sigstore-js/.github/workflows/release.yml@refs/heads/main",
     NPM_DIGEST),
    ("github-reusable-workflow.json", PUBLIC, ACTIONS, REUSABLE,
     "sha256:49a3aa6075e0f49f82843e74b5baa614ad2a588e6675612bf108a0a008c5ac25"),
    ("github-custom-issuer.json", PUBLIC, f"{ACTIONS}/hammer-time",
     "https://github.com/too-legit/attest/.github/workflows/integration.yml@refs/heads/main",
     "sha256:afa27b44d43b02a9fea41d13cedc2e4016cfcf87c5dbf990e593669aa8ce286d"),
    ("github-private.json", OF_GITHUB, ACTIONS,
     "https://github.com/actions/attest-demo/.github/workflows/build-python.yml@refs/heads/main",
     "sha256:ae57936def59bc4c75edd3a837d89bcefc6d3a5e31d55a6fa7a71624f92c3c3b"),
]  # fmt: skip


@cache
def authorities(*roots: str) -> Authorities:
    """Of one root, or of several in one file."""
    text = from_file(VECTORS / roots[0])
    lines = [json.dumps(json.loads((VECTORS / root).read_text())) for root in roots]
    return authorities_of(replace(text, content="\n".join(lines).encode()))


def signed(
    name: str, issuer: str, subject: str, digest: str, *roots: str, content: bytes | None = None
) -> tuple[str, str]:
    rule = TrustRule(identities=(IdentityRule(Pattern(issuer), Pattern(subject)),))
    case = Case(Digest(digest), Repository.parse("ghcr.io/o/i"), rule, lambda: authorities(*roots))
    signer, statement = attested_by((VECTORS / name).read_bytes() if content is None else content, case)
    return signer, statement.predicate_type


def refused(*arguments: str, content: bytes | None = None) -> tuple[Check, SignatureReason]:
    with pytest.raises(Refused) as error:
        signed(*arguments, content=content)
    return error.value.check, error.value.reason


@pytest.mark.parametrize(("name", "root", "issuer", "subject", "digest"), REAL)
def test_what_was_really_signed_is_verified(
    name: str, root: str, issuer: str, subject: str, digest: str
) -> None:
    expected = (f"{subject} ({issuer})"[:200], SLSA_PROVENANCE)
    signer, kind = signed(name, issuer, subject, digest, root)
    assert (signer[:200], kind) == expected
    assert signed(name, issuer, subject, digest, PUBLIC, OF_GITHUB) == (signer, kind)


@pytest.mark.parametrize(("name", "root", "issuer", "subject", "digest"), REAL)
def test_for_another_image_another_signer_and_another_root_it_is_nothing(
    name: str, root: str, issuer: str, subject: str, digest: str
) -> None:
    other = digest[:-1] + ("0" if digest[-1] != "0" else "1")
    assert refused(name, issuer, subject, other, root) == (Check.SUBJECT, SignatureReason.INVALID)
    mismatch = (Check.IDENTITY, SignatureReason.IDENTITY_MISMATCH)
    assert refused(name, issuer, subject + "x", digest, root) == mismatch
    assert refused(name, issuer + "/x", subject, digest, root) == mismatch
    elsewhere = PUBLIC if root == OF_GITHUB else OF_GITHUB
    assert refused(name, issuer, subject, digest, elsewhere) == (Check.SIGNER, SignatureReason.KEY_NOT_FOUND)


@pytest.mark.parametrize(("name", "root", "issuer", "subject", "digest"), REAL)
def test_without_its_log_entry_or_timestamp_it_is_invalid(
    name: str, root: str, issuer: str, subject: str, digest: str
) -> None:
    document = json.loads((VECTORS / name).read_text())
    material = document["verificationMaterial"]
    material["tlogEntries"] = []
    material.pop("timestampVerificationData", None)
    found = refused(name, issuer, subject, digest, root, content=json.dumps(document).encode())
    assert found[0] in (Check.CERTIFICATE, Check.LOG)
    assert found[1] is SignatureReason.INVALID


PRIVATE = REAL[-1]


@pytest.mark.parametrize(
    ("digest", "subject", "expected"),
    [
        (PRIVATE[4], PRIVATE[3], DONE),
        ("sha256:" + "a" * 64, PRIVATE[3], REFUSED),
        (PRIVATE[4], "somebody else", REFUSED),
    ],
)
def test_the_conformance_suites_protocol(
    digest: str, subject: str, expected: int, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [
        "verify-bundle", "--bundle", str(VECTORS / PRIVATE[0]), "--certificate-identity", subject,
        "--certificate-oidc-issuer", PRIVATE[2], "--trusted-root", str(VECTORS / PRIVATE[1]), digest,
    ]  # fmt: skip
    assert main(arguments) == expected
    assert main(["verify-bundle", "--staging", *arguments[1:]]) == UNSUPPORTED
    assert capsys.readouterr().err


def test_two_signatures_in_a_bundle_are_none() -> None:
    found = refused("two-signatures.json", ACTIONS, "anybody", f"sha256:{'a' * 64}", PUBLIC)
    assert found == (Check.FORM, SignatureReason.INVALID)
