"""Sigstore bundles of others: read exactly, or refused, so that two readers never see two."""

import base64
import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from immutag.core.statement import PAYLOAD_TYPE
from immutag.trust.formats.bundle import (
    BUNDLE_V03,
    MEDIA_TYPES,
    Bundle,
    CertificateChain,
    KeyHint,
    MessageSignature,
    encode_bundle,
    parse_bundle,
)
from immutag.trust.formats.dsse import Envelope, Signature
from immutag.trust.formats.malformed import LIMIT_BYTES, Malformed
from tests.parts.mutations import altered, damaged

ENVELOPE = {"payload": "e30=", "payloadType": PAYLOAD_TYPE, "signatures": [{"sig": "c2ln"}]}
MESSAGE = {"messageDigest": {"algorithm": "SHA2_256", "digest": "ZGln"}, "signature": "c2ln"}
ENTRY = {"logIndex": "7", "inclusionProof": {"hashes": ["aGFzaA=="]}}
BY_KEY: dict[str, Any] = {
    "mediaType": BUNDLE_V03,
    "verificationMaterial": {"publicKey": {"hint": "aGludA=="}},
    "dsseEnvelope": ENVELOPE,
}
BY_CERTIFICATE: dict[str, Any] = {
    "mediaType": BUNDLE_V03,
    "verificationMaterial": {
        "certificate": {"rawBytes": "Y2VydA=="},
        "tlogEntries": [ENTRY],
        "timestampVerificationData": {"rfc3161Timestamps": [{"signedTimestamp": "dGltZQ=="}]},
    },
    "messageSignature": MESSAGE,
}
TEXT = json.dumps(BY_KEY).encode()


def parsed(document: object) -> Bundle:
    return parse_bundle(json.dumps(document).encode())


def with_material(**fields: object) -> dict[str, Any]:
    return {**BY_KEY, "verificationMaterial": {**BY_KEY["verificationMaterial"], **fields}}


def test_a_bundle_by_key() -> None:
    envelope = Envelope(b"{}", PAYLOAD_TYPE, (Signature("", b"sig"),))
    assert parse_bundle(TEXT) == Bundle(BUNDLE_V03, KeyHint("aGludA=="), (), (), envelope, TEXT)


def test_a_bundle_by_certificate() -> None:
    found = parsed(BY_CERTIFICATE)
    assert found.material == CertificateChain((b"cert",))
    assert found.log_entries == (ENTRY,)
    assert found.timestamps == (b"time",)
    assert found.content == MessageSignature("SHA2_256", b"dig", b"sig")


def test_a_chain_has_its_leaf_first() -> None:
    chain = {"certificates": [{"rawBytes": "bGVhZg=="}, {"rawBytes": "bmV4dA=="}]}
    document = {**BY_CERTIFICATE, "mediaType": "application/vnd.dev.sigstore.bundle+json;version=0.2"}
    document["verificationMaterial"] = {"x509CertificateChain": chain}
    material = parsed(document).material
    assert isinstance(material, CertificateChain)
    assert (material.leaf, material.certificates) == (b"leaf", (b"leaf", b"next"))


@pytest.mark.parametrize("media_type", MEDIA_TYPES)
def test_every_version_that_sigstore_has_written(media_type: str) -> None:
    assert parsed({**BY_KEY, "mediaType": media_type}).media_type == media_type


def test_null_says_that_a_field_is_not_set() -> None:
    document = with_material(certificate=None, tlogEntries=None, timestampVerificationData=None)
    assert parsed({**document, "messageSignature": None}).material == KeyHint("aGludA==")
    assert parsed({**BY_KEY, "verificationMaterial": {"publicKey": {"hint": None}}}).material == KeyHint("")
    empty = with_material(tlogEntries=[], timestampVerificationData={"rfc3161Timestamps": []})
    assert not parsed(empty).log_entries
    assert not parsed(empty).timestamps


def test_what_we_write_is_read_as_it_was_written() -> None:
    envelope = Envelope(b'{"a": 1}', PAYLOAD_TYPE, (Signature("", b"\x00\xff\xfe"),))
    raw = encode_bundle(envelope, hint="aGludA==")
    assert parse_bundle(raw) == Bundle(BUNDLE_V03, KeyHint("aGludA=="), (), (), envelope, raw)


CERTIFICATE = {"rawBytes": "Y2VydA=="}


@pytest.mark.parametrize(
    "document",
    [
        [],
        {},
        {**BY_KEY, "mediaType": None},
        {**BY_KEY, "mediaType": "application/vnd.dev.sigstore.bundle.v0.4+json"},
        {**BY_KEY, "later": 1},
        {**BY_KEY, "dsse_envelope": ENVELOPE},  # another spelling of a field that is there
        {**BY_KEY, "messageSignature": MESSAGE},
        {**BY_KEY, "dsseEnvelope": None},
        {**BY_KEY, "dsseEnvelope": {**ENVELOPE, "later": 1}},
        {**BY_KEY, "dsseEnvelope": {**ENVELOPE, "signatures": []}},
        {**BY_KEY, "dsseEnvelope": {**ENVELOPE, "signatures": [{"sig": "c2ln"}] * 2}},
        {**BY_KEY, "dsseEnvelope": {**ENVELOPE, "signatures": [{"sig": "c2ln", "later": 1}]}},
        {**BY_KEY, "verificationMaterial": None},
        {**BY_KEY, "verificationMaterial": {}},
        with_material(certificate=CERTIFICATE),
        with_material(public_key={"hint": "another"}),
        with_material(publicKey={"hint": 7}),
        with_material(publicKey={"hint": "x" * 2000}),
        with_material(publicKey={"hint": "", "rawBytes": ""}),
        with_material(tlogEntries={}),
        with_material(tlogEntries=[None]),
        with_material(tlogEntries=[ENTRY] * 33),
        with_material(timestampVerificationData={"rfc3161Timestamps": [{"signedTimestamp": ""}]}),
        with_material(timestampVerificationData={"rfc3161Timestamps": ["dGltZQ=="]}),
        with_material(timestampVerificationData=[]),
        {**BY_CERTIFICATE, "verificationMaterial": {"certificate": {"rawBytes": ""}}},
        {**BY_CERTIFICATE, "verificationMaterial": {"certificate": {"rawBytes": "Y2VydB=="}}},
        {**BY_CERTIFICATE, "verificationMaterial": {"certificate": {"rawBytes": "Y2Vy_A=="}}},
        {**BY_CERTIFICATE, "verificationMaterial": {"x509CertificateChain": {"certificates": []}}},
        {
            **BY_CERTIFICATE,
            "verificationMaterial": {"x509CertificateChain": {"certificates": [CERTIFICATE] * 33}},
        },
        {**BY_CERTIFICATE, "messageSignature": {**MESSAGE, "signature": ""}},
        {**BY_CERTIFICATE, "messageSignature": {**MESSAGE, "messageDigest": None}},
        {
            **BY_CERTIFICATE,
            "messageSignature": {**MESSAGE, "messageDigest": {"algorithm": "MD5", "digest": ""}},
        },
    ],
)
def test_a_bundle_that_is_none_is_refused(document: object) -> None:
    with pytest.raises(Malformed):
        parsed(document)


@pytest.mark.parametrize(
    "name", ["mediaType", "verificationMaterial", "dsseEnvelope", "payload", "sig", "hint"]
)
def test_a_field_that_stands_twice_is_refused(name: str) -> None:
    with pytest.raises(Malformed):
        parse_bundle(TEXT.replace(b'"%b"' % name.encode(), b'"%b": 1, "%b"' % (name.encode(), name.encode())))


def test_every_truncation_is_refused() -> None:
    for size in range(len(TEXT)):
        with pytest.raises(Malformed):
            parse_bundle(TEXT[:size])


def test_a_bundle_that_is_too_large_is_refused_before_it_is_read() -> None:
    payload = base64.b64encode(b"\0" * LIMIT_BYTES).decode()
    with pytest.raises(Malformed, match="too large"):
        parsed({**BY_KEY, "dsseEnvelope": {**ENVELOPE, "payload": payload}})


@given(
    st.binary(max_size=80)
    | damaged(TEXT)
    | damaged(json.dumps(BY_CERTIFICATE).encode())
    | altered(BY_KEY)
    | altered(BY_CERTIFICATE)
)
def test_any_bytes_are_a_bundle_or_malformed(content: bytes) -> None:
    with suppress(Malformed):
        found = parse_bundle(content)
        assert found.raw == content
        assert found.media_type in MEDIA_TYPES
