"""What is read of an attestation, whatever bytes it is: what it says, or why it cannot be read."""

import json
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from immutag.core.statement import CYCLONEDX, PAYLOAD_TYPE
from immutag.core.values import Digest
from immutag.oci import Descriptor
from immutag.oci.content import digest_of
from immutag.oci.legacy import DSSE_ENVELOPE, SIMPLE_SIGNING
from immutag.trust.attached import Attached, Kind, Unread
from immutag.trust.evidence.attestation import Said, read
from immutag.trust.formats.bundle import BUNDLE_V03, encode_bundle
from immutag.trust.formats.dsse import Envelope, Signature, pae
from immutag.trust.signing.key_signer import KeySigner
from immutag.trust.signing.private_key import parse_private_key
from tests.parts.keys import a_key, private_pem
from tests.parts.mutations import altered, damaged

IMAGE = Digest("sha256:" + "a" * 64)
KEY = KeySigner(parse_private_key(private_pem(a_key()), password=lambda: b""))
STATEMENT = json.dumps(
    {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"digest": {"sha256": IMAGE.hex}}],
        "predicateType": CYCLONEDX,
        "predicate": {},
    }
).encode()
MEDIA_TYPES = {
    Kind.BUNDLE: BUNDLE_V03, Kind.ENVELOPE: DSSE_ENVELOPE, Kind.LEGACY: SIMPLE_SIGNING,
    Kind.OTHER: "application/vnd.in-toto+json", Kind.OTHER_SIGNATURE: "application/jose+json",
}  # fmt: skip
BUNDLE = KEY.bundle(STATEMENT)
SIGNED = Envelope(STATEMENT, PAYLOAD_TYPE, (Signature("", KEY.sign(pae(PAYLOAD_TYPE, STATEMENT))),))
ENVELOPE = SIGNED.encode()


def attached(
    kind: Kind, content: bytes | None, annotations: Mapping[str, str] = {}, unread: Unread | None = None
) -> Attached:
    layer = Descriptor(MEDIA_TYPES[kind], digest_of(content or b""), len(content or b""))
    return Attached("place", layer, "application/x", {}, kind, layer, annotations, content, unread)


@pytest.mark.parametrize(
    ("kind", "content", "signer"),
    [(Kind.BUNDLE, BUNDLE, KEY.name), (Kind.ENVELOPE, ENVELOPE, "a key"), (Kind.OTHER, STATEMENT, None)],
    ids=["bundle", "envelope", "statement"],
)
def test_a_statement_is_read_in_every_form(kind: Kind, content: bytes, signer: str | None) -> None:
    assert read(attached(kind, content)) == Said(CYCLONEDX, frozenset({IMAGE}), signer, None)


def test_a_signature_of_the_old_form_is_about_its_image() -> None:
    payload = json.dumps(
        {
            "critical": {
                "identity": {"docker-reference": ""},
                "image": {"docker-manifest-digest": str(IMAGE)},
                "type": "cosign container image signature",
            },
            "optional": None,
        }
    ).encode()
    assert read(attached(Kind.LEGACY, payload)) == Said(None, frozenset({IMAGE}), "a key", None)


def test_an_envelope_around_something_else_is_no_statement() -> None:
    envelope = Envelope(STATEMENT, "text/plain", SIGNED.signatures).encode()
    assert read(attached(Kind.ENVELOPE, envelope)).predicate_type is None


@pytest.mark.parametrize("hint", ["", "my key", "AA==", "\x1b[31m"])
def test_a_hint_that_is_no_hash_is_shown_as_it_is(hint: str) -> None:
    said = read(attached(Kind.BUNDLE, encode_bundle(SIGNED, hint=hint)))
    assert said.signer is not None
    assert "\x1b" not in said.signer
    assert said.signer.startswith(("key ", "a key"))


@pytest.mark.parametrize(
    "certificate", ["", "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n", "x"]
)
def test_a_certificate_that_is_none_names_nobody(certificate: str) -> None:
    annotations = {"dev.sigstore.cosign/certificate": certificate}
    said = read(attached(Kind.ENVELOPE, ENVELOPE, annotations))
    assert said.signer in ("a key", "a certificate that cannot be read")


@pytest.mark.parametrize("unread", Unread)
def test_what_was_not_read_keeps_the_type_that_it_announces(unread: Unread) -> None:
    said = read(attached(Kind.OTHER, None, {"in-toto.io/predicate-type": CYCLONEDX}, unread))
    assert said == Said(CYCLONEDX, frozenset(), None, unread.value)


@given(
    st.sampled_from(Kind),
    st.binary(max_size=60)
    | st.sampled_from([BUNDLE, ENVELOPE, STATEMENT]).flatmap(damaged)
    | st.sampled_from([BUNDLE, ENVELOPE, STATEMENT]).flatmap(lambda text: altered(json.loads(text))),
    st.dictionaries(
        st.sampled_from(["dev.sigstore.cosign/certificate", "predicateType", "in-toto.io/predicate-type"]),
        st.text(max_size=30),
    ),
)
def test_whatever_it_is_it_is_listed(kind: Kind, content: bytes, annotations: dict[str, str]) -> None:
    said = read(attached(kind, content, annotations))
    assert said.problem is None or said.problem
    if said.problem:
        assert said.signer is None
