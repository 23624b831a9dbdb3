"""Keys, made when a test needs them: none is in the repository."""

import base64
import hashlib
import json
import os
from functools import cache

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from nacl.bindings import crypto_secretbox

KINDS = ("P-256", "P-384", "P-521", "Ed25519", "RSA-2048")
Private = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey
_CURVES: dict[str, type[ec.EllipticCurve]] = {
    "P-256": ec.SECP256R1, "P-384": ec.SECP384R1, "P-521": ec.SECP521R1, "P-224": ec.SECP224R1,
    "secp256k1": ec.SECP256K1,
}  # fmt: skip


def new_key(kind: str) -> Private:
    """Another key each time: `P-256`, `Ed25519`, `RSA-2048`, …"""
    if kind == "Ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    if kind.startswith("RSA-"):
        return rsa.generate_private_key(65537, int(kind.removeprefix("RSA-")))
    return ec.generate_private_key(_CURVES[kind]())


@cache
def a_key(kind: str = "P-256") -> Private:
    """The same key each time, in one process."""
    return new_key(kind)


def private_pem(
    key: Private, form: PrivateFormat = PrivateFormat.PKCS8, lock: KeySerializationEncryption | None = None
) -> bytes:
    return key.private_bytes(Encoding.PEM, form, lock or NoEncryption())


def public_pem(key: Private) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def cosign_pem(
    key: Private, password: bytes, *, n: int = 1 << 15, label: str = "ENCRYPTED SIGSTORE PRIVATE KEY"
) -> bytes:
    """The key as cosign encrypts it; `n` is scrypt's."""
    der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    salt, nonce = os.urandom(32), os.urandom(24)
    secret = hashlib.scrypt(password, salt=salt, n=n, r=8, p=1, dklen=32, maxmem=1 << 28)
    box = {
        "kdf": {"name": "scrypt", "params": {"N": n, "r": 8, "p": 1}, "salt": _text(salt)},
        "cipher": {"name": "nacl/secretbox", "nonce": _text(nonce)},
        "ciphertext": _text(crypto_secretbox(der, nonce, secret)),
    }
    return pem_of(json.dumps(box).encode(), label)


def pem_of(content: bytes, label: str) -> bytes:
    body = base64.encodebytes(content)
    return b"-----BEGIN %b-----\n%b-----END %b-----\n" % (label.encode(), body, label.encode())


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()
