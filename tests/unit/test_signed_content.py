"""Bundles over content that is elsewhere, as the ledger's heads are signed. What was not never passes."""

import base64
import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from immutag.core.checkpoint import TreeHead
from immutag.core.errors import ConfigInvalid, LedgerCorrupt
from immutag.core.facts import SignatureReason
from immutag.core.trust import IdentityRule, Pattern
from immutag.core.values import Repository
from immutag.trust.authority import Authorities
from immutag.trust.checks import Authority
from immutag.trust.evidence.signed_content import signer_of_content
from immutag.trust.formats.bundle import BUNDLE_V03
from immutag.trust.judgement import Check, Refused
from immutag.trust.public_key import PublicKey, parse_public_key
from immutag.trust.root import authorities_of, from_file
from immutag.trust.rule import TrustRule
from immutag.trust.signing.private_key import PrivateKey, parse_private_key
from immutag.usecases.known_heads import in_file
from immutag.usecases.trusting import Trusting
from tests.parts.keys import new_key, private_pem, public_pem
from tests.parts.mutations import altered, damaged
from tests.parts.paper_sigstore import (
    ISSUER,
    PERSON,
    PaperSigstore,
    hashedrekord,
    timestamp,
    with_timestamps,
)

SERVICE = Repository.parse("ghcr.io/o/api")
HEAD = TreeHead("immutag/ghcr.io/o/api", 3, b"\x05" * 32)
TEXT, OTHER = HEAD.text().encode(), TreeHead(HEAD.origin, 4, HEAD.root).text().encode()
SIGSTORE, ANOTHER = PaperSigstore(), PaperSigstore()
SIGNER = SIGSTORE.certify(lasts=timedelta(days=1))
TIMESTAMPING = SIGSTORE.timestamping()
INVALID, UNKNOWN = SignatureReason.INVALID, SignatureReason.KEY_NOT_FOUND
Document = dict[str, Any]


def a_key() -> tuple[PrivateKey, PublicKey, bytes]:
    made = new_key("P-256")
    pem = public_pem(made)
    return parse_private_key(private_pem(made), password=lambda: b""), parse_public_key(pem), pem


KEY, PUBLIC, PEM = a_key()
BY_KEY = TrustRule((PUBLIC,))
BY_IDENTITY = TrustRule(identities=(IdentityRule(Pattern(ISSUER), Pattern(PERSON)),))


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Authorities:
    folder = tmp_path_factory.mktemp("logged")
    return authorities_of(from_file(SIGSTORE.trusted_root(folder, tsa=TIMESTAMPING)))


def _bundle(signature: bytes, material: Document, verifier: bytes, **log: Any) -> Document:
    body = hashedrekord(log.pop("entry_of", TEXT), signature, verifier)
    by = log.pop("by", SIGSTORE)
    entry = by.log_entry(body, ("hashedrekord", "0.0.1"), at=datetime.now(UTC), **log)
    digest = base64.b64encode(hashlib.sha256(TEXT).digest()).decode()
    return {
        "mediaType": BUNDLE_V03,
        "verificationMaterial": {**material, "tlogEntries": [entry]},
        "messageSignature": {
            "messageDigest": {"algorithm": "SHA2_256", "digest": digest},
            "signature": base64.b64encode(signature).decode(),
        },
    }


def by_key(**log: Any) -> Document:
    return _bundle(KEY.sign(log.pop("over", TEXT)), {"publicKey": {"hint": PUBLIC.hint}}, PEM, **log)


def by_identity(**log: Any) -> Document:
    certificate = {"certificate": {"rawBytes": base64.b64encode(SIGNER.der).decode()}}
    return _bundle(SIGNER.sign(log.pop("over", TEXT)), certificate, SIGNER.pem, **log)


def signer(document: Document, authorities: Authority, rule: TrustRule, text: bytes = TEXT) -> str:
    return signer_of_content(json.dumps(document).encode(), text, rule=rule, authority=lambda: authorities)


def refused(
    document: Document, authorities: Authority, rule: TrustRule, text: bytes = TEXT
) -> tuple[Check, SignatureReason]:
    with pytest.raises(Refused) as error:
        signer(document, authorities, rule, text)
    return error.value.check, error.value.reason


def test_a_key_and_an_identity_vouch_for_what_they_signed(logged: Authorities) -> None:
    assert signer(by_key(), logged, BY_KEY) == PUBLIC.name
    assert signer(by_identity(), logged, BY_IDENTITY) == f"{PERSON} ({ISSUER})"


@pytest.mark.parametrize(("make", "rule"), [(by_key, BY_KEY), (by_identity, BY_IDENTITY)])
def test_over_other_content_they_vouch_for_nothing(make: Any, rule: TrustRule, logged: Authorities) -> None:
    assert refused(make(), logged, rule, OTHER) == (Check.FORM, INVALID)
    assert refused(make(over=OTHER), logged, rule) == (Check.SIGNATURE, INVALID)


@pytest.mark.parametrize(
    "log", [{"entry_of": OTHER}, {"by": ANOTHER}, {"tree": b"another entry"}, {"log": new_key("P-256")}]
)
@pytest.mark.parametrize(
    ("make", "rule", "check"),
    [(by_key, BY_KEY, Check.LOG), (by_identity, BY_IDENTITY, Check.CERTIFICATE)],
)
def test_a_log_that_does_not_prove_it_is_none(
    make: Any, rule: TrustRule, check: Check, log: Document, logged: Authorities
) -> None:
    assert refused(make(**log), logged, rule) == (check, INVALID)


def test_without_an_entry_or_with_two_a_key_is_not_enough(logged: Authorities) -> None:
    material = by_key()["verificationMaterial"]
    for count in (0, 2):
        entries = material["tlogEntries"] * count
        document = {**by_key(), "verificationMaterial": {**material, "tlogEntries": entries}}
        assert refused(document, logged, BY_KEY) == (Check.LOG, INVALID)


def test_nobody_counts_who_is_not_trusted(logged: Authorities) -> None:
    assert refused(by_key(), logged, TrustRule((a_key()[1],))) == (Check.SIGNER, UNKNOWN)
    assert refused(by_key(), logged, BY_IDENTITY) == (Check.SIGNER, UNKNOWN)
    assert refused(by_identity(), logged, BY_KEY) == (Check.SIGNER, UNKNOWN)
    other = TrustRule(identities=(IdentityRule(Pattern(ISSUER), Pattern("eve@example.com")),))
    assert refused(by_identity(), logged, other) == (Check.IDENTITY, SignatureReason.IDENTITY_MISMATCH)


def test_where_the_root_names_no_log_nobody_counts(tmp_path: Path) -> None:
    """Not even with a timestamp, which is enough for an image: a head is said to be in a log."""
    unlogged = authorities_of(from_file(SIGSTORE.trusted_root(tmp_path, logs=False, tsa=TIMESTAMPING)))
    document = by_identity()
    signature = base64.b64decode(document["messageSignature"]["signature"])
    stamped = with_timestamps(document, timestamp(signature, TIMESTAMPING, tmp_path / "tsa"))
    assert refused(stamped, unlogged, BY_IDENTITY) == (Check.LOG, INVALID)
    assert refused(by_key(), unlogged, BY_KEY) == (Check.LOG, INVALID)


TRUE = [(by_key(), BY_KEY), (by_identity(), BY_IDENTITY)]


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_of_a_bundle_that_was_altered_a_file_gives_the_same_head_or_a_refusal(
    data: st.DataObject, logged: Authorities
) -> None:
    true, rule = data.draw(st.sampled_from(TRUE))
    content = data.draw(altered(true) | damaged(json.dumps(true).encode()))
    trusting = Trusting(rule, lambda: logged, SERVICE, HEAD.origin)
    try:
        [found] = in_file(content, "kept.json", trusting, lambda: [OTHER.decode(), TEXT.decode()])
    except (ConfigInvalid, LedgerCorrupt):
        return
    assert (found.size, found.root) == (HEAD.size, HEAD.root)
