"""DSSE envelopes: what the signatures are over, and envelopes of others read exactly or refused."""

import base64
import json
from contextlib import suppress
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from immutag.trust.formats.dsse import Envelope, Signature, pae, parse_envelope
from immutag.trust.formats.malformed import LIMIT_BYTES, Malformed
from immutag.trust.public_key import PublicKey
from tests.parts.mutations import altered, damaged

# The specification's own example (DSSE v1, protocol.md, "Test Vectors").
PUBLISHED: dict[str, Any] = {
    "payload": "aGVsbG8gd29ybGQ=",
    "payloadType": "http://example.com/HelloWorld",
    "signatures": [
        {"sig": "A3JqsQGtVsJ2O2xqrI5IcnXip5GToJ3F+FnZ+O88SjtR6rDAajabZKciJTfUiHqJPcIAriEGAHTVeCUjW2JIZA=="}
    ],
}
X = 46950820868899156662930047687818585632848591499744589407958293238635476079160
Y = 5640078356564379163099075877009565129882514886557779369047442380624545832820
TEXT = json.dumps(PUBLISHED).encode()


def test_the_published_vector() -> None:
    envelope = parse_envelope(TEXT)
    assert envelope.payload == b"hello world"
    assert envelope.signed() == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    point = ec.EllipticCurvePublicNumbers(X, Y, ec.SECP256R1()).public_key()
    key = PublicKey(point.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    raw = envelope.signatures[0].value  # the example's form is r and s, one after the other
    asn1 = encode_dss_signature(int.from_bytes(raw[:32]), int.from_bytes(raw[32:]))
    assert key.verify(asn1, envelope.signed())
    assert not key.verify(asn1, pae(envelope.payload_type, b"hello worle"))


@pytest.mark.parametrize("kind, payload", [("a", b"b c"), ("a 1 b", b"c"), ("", b""), ("ä", b"\x00\xff")])
def test_where_type_and_payload_end_is_signed_too(kind: str, payload: bytes) -> None:
    word, length, rest = pae(kind, payload).split(b" ", 2)
    assert (word, int(length)) == (b"DSSEv1", len(kind.encode()))
    assert rest[: int(length)] == kind.encode()
    assert rest[int(length) :] == b" %d %b" % (len(payload), payload)


envelopes = st.builds(
    Envelope,
    st.binary(max_size=40),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
    st.lists(
        st.builds(
            Signature, st.text(st.characters(exclude_categories=["Cs"]), max_size=5), st.binary(min_size=1)
        ),
        min_size=1,
        max_size=3,
    ).map(tuple),
)


@given(envelopes)
def test_an_envelope_is_read_as_it_was_written(envelope: Envelope) -> None:
    assert parse_envelope(envelope.encode()) == envelope


@given(envelopes, envelopes)
def test_two_contents_are_never_signed_as_one(one: Envelope, other: Envelope) -> None:
    same = (one.payload_type, one.payload) == (other.payload_type, other.payload)
    assert (one.signed() == other.signed()) is same


def test_the_url_safe_alphabet_is_base64_too() -> None:
    payload = b"\xff\xef\xbf"
    fields = {**PUBLISHED, "payload": base64.urlsafe_b64encode(payload).decode()}
    assert parse_envelope(json.dumps(fields).encode()).payload == payload


def test_fields_of_a_later_version_are_ignored() -> None:
    assert parse_envelope(json.dumps({**PUBLISHED, "later": {}}).encode()) == parse_envelope(TEXT)


SIG = PUBLISHED["signatures"][0]


@pytest.mark.parametrize(
    "changes",
    [
        {"payload": None},
        {"payload": 7},
        {"payload": "aGVsbG8gd29ybGQ"},  # without its padding
        {"payload": "aGVsbG8gd29ybGR="},  # bits that nobody reads
        {"payload": "aGVsbG8g\nd29ybGQ="},
        {"payload": "aGVsbG8gd29ybGQ=\u00e4"},
        {"payloadType": None},
        {"payloadType": "\ud800"},
        {"signatures": None},
        {"signatures": []},
        {"signatures": [SIG] * 33},
        {"signatures": {"0": SIG}},
        {"signatures": ["AA=="]},
        {"signatures": [{}]},
        {"signatures": [{"sig": ""}]},
        {"signatures": [{**SIG, "keyid": 7}]},
    ],
)
def test_an_envelope_that_is_none_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        parse_envelope(json.dumps({**PUBLISHED, **changes}).encode())


def test_a_field_that_stands_twice_is_refused() -> None:
    with pytest.raises(Malformed):
        parse_envelope(TEXT[:-1] + b', "payload": "AAAA"}')


def test_what_is_too_large_or_too_deep_is_refused() -> None:
    with pytest.raises(Malformed):
        parse_envelope(TEXT + b" " * LIMIT_BYTES)
    with pytest.raises(Malformed):
        parse_envelope(b"[" * 100_000)


@given(st.binary(max_size=80) | damaged(TEXT) | altered(PUBLISHED))
def test_any_bytes_are_an_envelope_or_malformed(content: bytes) -> None:
    with suppress(Malformed):
        assert parse_envelope(content).signatures
