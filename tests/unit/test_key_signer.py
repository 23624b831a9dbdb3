"""Signing with a key: what we write, as our own readers see it. cosign's view is in tests/real."""

import base64

import pytest

from immutag.core.statement import COSIGN_SIGN, PAYLOAD_TYPE, Statement, Subject
from immutag.core.values import Digest
from immutag.trust import Signer
from immutag.trust.formats.bundle import BUNDLE_V03, KeyHint, parse_bundle
from immutag.trust.formats.dsse import Envelope
from immutag.trust.formats.in_toto import parse_statement
from immutag.trust.signing.key_signer import KeySigner
from immutag.trust.signing.private_key import parse_private_key
from tests.parts.keys import KINDS, a_key, private_pem

STATEMENT = Statement((Subject("", Digest("sha256:" + "a" * 64), {}),), COSIGN_SIGN, {})


@pytest.mark.parametrize("kind", KINDS)
def test_a_bundle_says_which_key_and_holds_the_statement(kind: str) -> None:
    key = parse_private_key(private_pem(a_key(kind)), password=lambda: b"")
    signer: Signer = KeySigner(key)
    bundle = parse_bundle(signer.bundle(STATEMENT.encode()))
    assert (bundle.media_type, bundle.material) == (BUNDLE_V03, KeyHint(key.public.hint))
    assert isinstance(bundle.content, Envelope)
    assert bundle.content.payload_type == PAYLOAD_TYPE
    assert parse_statement(bundle.content.payload) == STATEMENT
    assert key.public.verify(bundle.content.signatures[0].value, bundle.content.signed())
    assert not key.public.verify(bundle.content.signatures[0].value, bundle.content.payload)
    assert signer.name == key.public.name


def test_the_older_form_is_one_annotation() -> None:
    key = parse_private_key(private_pem(a_key()), password=lambda: b"")
    annotations = KeySigner(key).simple(b"payload")
    [(name, value)] = annotations.items()
    assert name == "dev.cosignproject.cosign/signature"
    assert key.public.verify(base64.b64decode(value), b"payload")


def test_a_signer_shows_its_name_only() -> None:
    key = parse_private_key(private_pem(a_key()), password=lambda: b"")
    assert repr(KeySigner(key)) == f"KeySigner({key.public.name})"
