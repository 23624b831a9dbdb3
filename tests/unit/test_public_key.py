"""Which public keys can be trusted at all, and which signatures are by them."""

import base64
import hashlib
import json
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed448, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PrivateFormat, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from immutag.core.errors import ConfigInvalid
from immutag.trust.public_key import PublicKey, load_public_key, parse_public_key
from immutag.trust.signing.private_key import parse_private_key
from tests.parts.keys import KINDS, a_key, new_key, private_pem, public_pem
from tests.parts.mutations import damaged

WYCHEPROOF = Path(__file__).parent.parent / "vectors" / "wycheproof"
PAYLOAD = b"the bytes that were signed"


def signed(kind: str) -> tuple[PublicKey, bytes]:
    key = parse_private_key(private_pem(a_key(kind)), password=lambda: b"")
    return key.public, key.sign(PAYLOAD)


@pytest.mark.parametrize("kind", KINDS)
def test_a_signature_is_by_its_key_over_its_bytes(kind: str) -> None:
    public, signature = signed(kind)
    assert public.verify(signature, PAYLOAD)
    assert not public.verify(signature, PAYLOAD + b".")
    assert not public.verify(signature[:-1], PAYLOAD)
    assert not public.verify(b"", PAYLOAD)
    assert not parse_public_key(public_pem(new_key(kind))).verify(signature, PAYLOAD)


@pytest.mark.parametrize("kind", ["P-256", "Ed25519", "RSA-2048"])
def test_no_changed_bit_of_a_signature_verifies(kind: str) -> None:
    public, signature = signed(kind)
    for at in range(0, len(signature) * 8, 7):
        changed = bytearray(signature)
        changed[at // 8] ^= 1 << at % 8
        assert not public.verify(bytes(changed), PAYLOAD), at


def test_a_key_says_how_it_signs() -> None:
    key = a_key("RSA-2048")
    assert isinstance(key, rsa.RSAPrivateKey)
    pss = padding.PSS(padding.MGF1(SHA256()), padding.PSS.MAX_LENGTH)
    assert not parse_public_key(public_pem(key)).verify(key.sign(PAYLOAD, pss, SHA256()), PAYLOAD)


@pytest.mark.parametrize("point", [b"\x04" + bytes(64), b"\x04" + b"\xff" * 64, b"\x02" + b"\x01" * 64])
def test_a_point_that_is_on_no_curve_is_no_key(point: bytes) -> None:
    """The usual form of a P-256 key is read without the library's reader, and no less strictly."""
    der = parse_public_key(public_pem(new_key("P-256"))).der
    with pytest.raises(ConfigInvalid):
        PublicKey(der[:-65] + point)
    body = base64.encodebytes(der[:-65] + point)
    with pytest.raises(ConfigInvalid):
        parse_public_key(b"-----BEGIN PUBLIC KEY-----\n" + body + b"-----END PUBLIC KEY-----\n")


def vectors() -> list[Any]:
    files = sorted(WYCHEPROOF.glob("*.json"))
    return [
        pytest.param(group, id=f"{file.stem}-{at}")
        for file in files
        for at, group in enumerate(json.loads(file.read_text())["testGroups"])
    ]


@pytest.mark.parametrize("group", vectors())
def test_wycheproof(group: dict[str, Any]) -> None:
    public = parse_public_key(group["publicKeyPem"].encode())
    for vector in group["tests"]:
        found = public.verify(bytes.fromhex(vector["sig"]), bytes.fromhex(vector["msg"]))
        if vector["result"] != "acceptable":
            assert found is (vector["result"] == "valid"), vector


def test_wycheproof_is_all_there() -> None:
    groups = [json.loads(file.read_text())["testGroups"] for file in WYCHEPROOF.glob("*.json")]
    results = [vector["result"] for file in groups for group in file for vector in group["tests"]]
    assert len(groups) == 5
    assert results.count("valid") > 100
    assert results.count("invalid") > 200


def test_a_key_has_one_name_however_it_is_written() -> None:
    key = a_key("RSA-2048").public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    spki = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    pkcs1 = key.public_bytes(Encoding.PEM, PublicFormat.PKCS1)
    found = parse_public_key(spki)
    assert parse_public_key(pkcs1) == found
    digest = hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()
    assert found.name == f"key sha256:{digest.hex()}"
    assert base64.b64decode(found.hint) == digest
    assert found.pem() == spki
    assert parse_public_key(b"a comment\n\n" + spki.replace(b"\n", b"\r\n")) == found


@pytest.mark.parametrize(
    "found, pem",
    [
        ("no PEM", b""),
        ("no PEM", b"ssh-ed25519 AAAA comment"),
        ("EC PRIVATE KEY", private_pem(a_key(), PrivateFormat.TraditionalOpenSSL)),
        ("PRIVATE KEY", private_pem(a_key())),
        ("CERTIFICATE", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
        ("PUBLIC KEY, PUBLIC KEY", public_pem(a_key()) * 2),
        ("damaged", public_pem(a_key())[:60]),
        ("damaged", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"),
        ("RSA of 1024 bits", public_pem(new_key("RSA-1024"))),
        ("ECDSA on another curve", public_pem(new_key("P-224"))),
        ("ECDSA on another curve", public_pem(new_key("secp256k1"))),
        (
            "a kind that is not supported",
            ed448.Ed448PrivateKey.generate()
            .public_key()
            .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        ),
    ],
    ids=lambda given: given if isinstance(given, str) else "key",  # keys are others in each process
)
def test_a_key_that_cannot_be_trusted_is_refused(found: str, pem: bytes) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        parse_public_key(pem, name="their.pub")
    assert found in caught.value.found
    assert "their.pub" in caught.value.message


def test_a_key_of_bytes_that_are_none_cannot_be_made() -> None:
    with pytest.raises(ConfigInvalid):
        PublicKey(b"\x30\x00")


def test_a_key_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "large.pub").write_bytes(public_pem(a_key()) + b"\n" * (64 * 1024))
    for path in (tmp_path, tmp_path / "missing.pub", tmp_path / "large.pub"):
        with pytest.raises(ConfigInvalid):
            load_public_key(path)
    (tmp_path / "cosign.pub").write_bytes(public_pem(a_key()))
    assert load_public_key(tmp_path / "cosign.pub") == parse_public_key(public_pem(a_key()))


@given(st.binary(max_size=200) | damaged(public_pem(a_key())) | damaged(public_pem(a_key("RSA-2048"))))
def test_any_bytes_are_a_key_or_refused(pem: bytes) -> None:
    with suppress(ConfigInvalid):
        assert parse_public_key(pem).verify(b"", PAYLOAD) is False


@given(st.binary(max_size=600), st.sampled_from(KINDS))
def test_any_bytes_are_no_signature(signature: bytes, kind: str) -> None:
    assert parse_public_key(public_pem(a_key(kind))).verify(signature, PAYLOAD) is False


def test_verifying_by_key_imports_no_sigstore(tmp_path: Path) -> None:
    public, signature = signed("P-256")
    (tmp_path / "cosign.pub").write_bytes(public.pem())
    program = f"""
import sys
from pathlib import Path
from immutag.trust.public_key import load_public_key
heavy = ("cryptography", "nacl", "sigstore")
assert not any(name in sys.modules for name in heavy)
assert load_public_key(Path({str(tmp_path / "cosign.pub")!r})).verify({signature!r}, {PAYLOAD!r})
assert "sigstore" not in sys.modules and "nacl" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)
