"""Private keys in files: cosign's and other tools' are unlocked, and nothing of them is ever shown."""

import base64
import json
import re
from contextlib import suppress
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from immutag.core.errors import ConfigInvalid
from immutag.trust.public_key import parse_public_key
from immutag.trust.signing.password import ask_password
from immutag.trust.signing.private_key import Password, load_private_key, parse_private_key
from tests.parts.keys import KINDS, a_key, cosign_pem, new_key, pem_of, private_pem, public_pem
from tests.parts.mutations import damaged

SECRET = b"correct horse"
COSIGN = cosign_pem(a_key(), SECRET)


def password() -> bytes:
    return SECRET


def never() -> bytes:
    raise AssertionError("nobody needs a password here")


@pytest.mark.parametrize("kind", KINDS)
def test_a_plain_key_needs_no_password(kind: str) -> None:
    key = parse_private_key(private_pem(a_key(kind)), password=never)
    assert key.public == parse_public_key(public_pem(a_key(kind)))
    assert key.public.verify(key.sign(b"x"), b"x")


@pytest.mark.parametrize("kind", KINDS)
def test_one_thing_signed_twice_has_one_signature(kind: str) -> None:
    key = parse_private_key(private_pem(a_key(kind)), password=never)
    assert key.sign(b"x") == key.sign(b"x") != key.sign(b"y")


@pytest.mark.parametrize(
    "content",
    [
        cosign_pem(a_key(), SECRET, n=1 << 16),
        cosign_pem(a_key(), SECRET, label="ENCRYPTED COSIGN PRIVATE KEY"),
        private_pem(a_key(), PrivateFormat.PKCS8, BestAvailableEncryption(SECRET)),
        private_pem(a_key(), PrivateFormat.TraditionalOpenSSL, BestAvailableEncryption(SECRET)),
    ],
    ids=["cosign", "older cosign", "PKCS 8", "openssl"],
)
def test_a_locked_key_opens_with_its_password_and_no_other(content: bytes) -> None:
    key = parse_private_key(content, password=password)
    assert key.public == parse_public_key(public_pem(a_key()))
    for wrong in (b"wrong horse", b"", SECRET + b"\n"):
        with pytest.raises(ConfigInvalid) as caught:
            parse_private_key(content, password=lambda answer=wrong: answer)  # type: ignore[misc]  # bound now
        assert "another password" in caught.value.found


def test_cosigns_key_may_have_an_empty_password() -> None:
    key = parse_private_key(cosign_pem(a_key(), b""), password=lambda: b"")
    assert key.public == parse_public_key(public_pem(a_key()))


def test_the_curve_that_openssl_writes_in_front_is_no_second_key() -> None:
    curve = pem_of(bytes.fromhex("06082a8648ce3d030107"), "EC PARAMETERS")
    content = curve + private_pem(a_key(), PrivateFormat.TraditionalOpenSSL)
    assert parse_private_key(content, password=never).public == parse_public_key(public_pem(a_key()))


def of_cosign(**changes: object) -> bytes:
    box = json.loads(base64.b64decode(re.sub(rb"-----.*-----", b"", COSIGN)))
    for path, value in changes.items():
        *inner, last = path.split("__")
        target = box
        for name in inner:
            target = target[name]
        target[last] = value
    return pem_of(json.dumps(box).encode(), "ENCRYPTED SIGSTORE PRIVATE KEY")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"-----BEGIN PRIVATE KEY-----",
        private_pem(a_key())[:80],
        private_pem(a_key()) * 2,
        public_pem(a_key()),
        private_pem(new_key("P-224")),
        private_pem(new_key("RSA-1024")),
        dsa.generate_private_key(1024).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        a_key("Ed25519").private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()),
        cosign_pem(new_key("P-224"), SECRET),
        pem_of(b"{}", "ENCRYPTED SIGSTORE PRIVATE KEY"),
        pem_of(b"[]", "ENCRYPTED SIGSTORE PRIVATE KEY"),
        of_cosign(kdf__params__N=1 << 30),
        of_cosign(kdf__params__N=32768.0),
        of_cosign(kdf__params__r=1 << 20),
        of_cosign(kdf__params__p=True),
        of_cosign(kdf__name="argon2"),
        of_cosign(kdf__salt="!"),
        of_cosign(cipher__name="none"),
        of_cosign(cipher__nonce="AAAA"),
        of_cosign(ciphertext=""),
        of_cosign(ciphertext=7),
    ],
    ids=lambda _: "file",  # keys are others in each process, and tests may not be
)
def test_a_file_that_holds_no_usable_key_is_refused(content: bytes) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        parse_private_key(content, password=password, name="our.key")
    assert "our.key" in caught.value.message


def test_a_password_is_not_asked_for_where_it_would_not_help() -> None:
    with pytest.raises(ConfigInvalid):
        parse_private_key(of_cosign(kdf__params__N=1 << 30), password=never)


def test_nothing_of_a_key_is_shown(tmp_path: Path) -> None:
    key = a_key()
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    number = key.private_numbers().private_value
    path = tmp_path / "cosign.key"
    path.write_bytes(COSIGN)
    found = load_private_key(path, password=password)
    assert repr(found) == f"PrivateKey({found.public.name})"
    assert str(number) not in repr(found)
    for content, answer in ((COSIGN, b"wrong horse"), (private_pem(key)[:150], SECRET)):
        with pytest.raises(ConfigInvalid) as caught:
            parse_private_key(content, password=lambda given=answer: given)  # type: ignore[misc]  # bound now
        said = f"{caught.value!r} {caught.value.as_json()}"
        assert answer.decode() not in said
        assert content[40:70].decode() not in said
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None or caught.value.__suppress_context__


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid):
        load_private_key(tmp_path / "cosign.key", password=never)


def test_the_password_comes_from_cosigns_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    ask: Password = ask_password
    monkeypatch.setenv("COSIGN_PASSWORD", "correct horse")
    assert ask() == SECRET
    monkeypatch.setenv("COSIGN_PASSWORD", "")
    assert ask() == b""
    monkeypatch.delenv("COSIGN_PASSWORD")
    with pytest.raises(ConfigInvalid, match="password"):
        ask()  # a test's standard input is no terminal


@settings(max_examples=30)  # each good header costs one scrypt
@given(damaged(COSIGN) | damaged(private_pem(a_key())) | st.binary(max_size=100))
def test_any_bytes_are_a_key_or_refused(content: bytes) -> None:
    with suppress(ConfigInvalid):
        assert parse_private_key(content, password=password).public.der
