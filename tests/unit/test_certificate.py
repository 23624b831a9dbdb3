"""Whom a certificate names: one identity, or it is none of Fulcio's; whatever the bytes are."""

import contextlib
import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ObjectIdentifier
from hypothesis import given
from hypothesis import strategies as st

from immutag.trust.formats.certificate import Identity, identity_of
from immutag.trust.formats.malformed import Malformed

ISSUER, ISSUER_V1, USERNAME = (ObjectIdentifier(f"1.3.6.1.4.1.57264.1.{last}") for last in (8, 1, 7))
KEY = ec.derive_private_key(7, ec.SECP256R1())
LONG = "https://issuer.example/" + "x" * 200


def utf8(text: str) -> bytes:
    raw = text.encode()
    length = bytes([len(raw)]) if len(raw) < 128 else b"\x82" + len(raw).to_bytes(2)
    return b"\x0c" + length + raw


def certificate(names: list[x509.GeneralName], extensions: dict[ObjectIdentifier, bytes]) -> bytes:
    start = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "tests")]))
        .public_key(KEY.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(minutes=10))
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=True)
    for kind, value in extensions.items():
        builder = builder.add_extension(x509.UnrecognizedExtension(kind, value), critical=False)
    return builder.sign(KEY, hashes.SHA256()).public_bytes(Encoding.DER)


EMAIL = x509.RFC822Name("dev@example.com")
WORKFLOW = x509.UniformResourceIdentifier(
    "https://github.com/owner/api/.github/workflows/a.yml@refs/heads/main"
)
GOOD = certificate([EMAIL], {ISSUER: utf8("https://issuer.example")})


@pytest.mark.parametrize(
    ("name", "subject"),
    [
        (EMAIL, EMAIL.value),
        (WORKFLOW, WORKFLOW.value),
        (x509.OtherName(USERNAME, utf8("someone!example.com")), "someone!example.com"),
    ],
)
@pytest.mark.parametrize("issuer", ["https://issuer.example", LONG])
def test_each_kind_of_identity_is_read(name: x509.GeneralName, subject: str, issuer: str) -> None:
    assert identity_of(certificate([name], {ISSUER: utf8(issuer)})) == Identity(subject, issuer)


def test_the_issuer_of_older_certificates_is_a_bare_text() -> None:
    found = identity_of(certificate([EMAIL], {ISSUER_V1: b"https://old.example"}))
    assert found.issuer == "https://old.example"


def test_the_newer_extension_counts() -> None:
    both = {ISSUER_V1: b"https://old.example", ISSUER: utf8("https://issuer.example")}
    assert identity_of(certificate([EMAIL], both)).issuer == "https://issuer.example"


@pytest.mark.parametrize(
    ("names", "extensions"),
    [
        ([], {ISSUER: utf8("https://issuer.example")}),
        ([x509.DNSName("example.com")], {ISSUER: utf8("https://issuer.example")}),
        ([EMAIL, WORKFLOW], {ISSUER: utf8("https://issuer.example")}),
        ([EMAIL], {}),
        ([EMAIL], {ISSUER: b""}),
        ([EMAIL], {ISSUER: b"https://issuer.example"}),
        ([EMAIL], {ISSUER: utf8("https://issuer.example") + b"/more"}),
        ([EMAIL], {ISSUER: b"\x0c\x05abc"}),
        ([EMAIL], {ISSUER: b"\x0c\x02\xff\xff"}),
    ],
)
def test_without_one_clear_identity_there_is_none(
    names: list[x509.GeneralName], extensions: dict[ObjectIdentifier, bytes]
) -> None:
    with pytest.raises(Malformed):
        identity_of(certificate(names, extensions))


@given(st.binary(max_size=600))
def test_bytes_are_malformed_and_nothing_worse(content: bytes) -> None:
    with pytest.raises(Malformed):
        identity_of(content)


@given(st.integers(0, len(GOOD) - 1), st.integers(0, 255))
def test_a_changed_certificate_names_somebody_or_nobody(at: int, byte: int) -> None:
    changed = GOOD[:at] + bytes([byte]) + GOOD[at + 1 :]
    with contextlib.suppress(Malformed):
        assert isinstance(identity_of(changed), Identity)
