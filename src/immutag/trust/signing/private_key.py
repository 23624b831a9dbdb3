"""Private keys in files: cosign's own encrypted form, and PEM as other tools write it.

No key and no password is ever in a message, a representation or a cause.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from immutag.core.errors import ConfigInvalid
from immutag.core.values import shown
from immutag.trust.formats.malformed import Malformed, base64_bytes, load, mapping
from immutag.trust.public_key import PublicKey, hash_for, read_bounded

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    Signing = EllipticCurvePrivateKey | Ed25519PrivateKey | RSAPrivateKey

Password = Callable[[], bytes]

_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----(.*?)-----END \1-----", re.DOTALL)
_OF_COSIGN = (b"ENCRYPTED SIGSTORE PRIVATE KEY", b"ENCRYPTED COSIGN PRIVATE KEY")
_ENCRYPTED = b"ENCRYPTED PRIVATE KEY"
_OPEN = (b"PRIVATE KEY", b"EC PRIVATE KEY", b"RSA PRIVATE KEY")
_SCRYPT = tuple({"N": 1 << power, "r": 8, "p": 1} for power in (15, 16, 17))
"""All that cosign has ever written; a file that asks for more would only cost time and memory."""
_SCRYPT_MEMORY_BYTES = 256 * 1024 * 1024
_DAMAGED = "a damaged key, or one of a kind that is not supported"


class PrivateKey:
    """A key that signs, as its public key says (`trust.public_key`)."""

    __slots__ = ("_key", "public")

    def __init__(self, key: "Signing", public: PublicKey) -> None:
        self._key = key
        self.public = public

    def sign(self, payload: bytes) -> bytes:
        """The signature over the payload, the same each time: two runs that sign one thing attach one."""
        from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
        from cryptography.hazmat.primitives.hashes import SHA256

        if isinstance(self._key, ec.EllipticCurvePrivateKey):
            algorithm = ec.ECDSA(hash_for(self._key.curve), deterministic_signing=True)  # RFC 6979
            return self._key.sign(payload, algorithm)
        if isinstance(self._key, rsa.RSAPrivateKey):
            return self._key.sign(payload, padding.PKCS1v15(), SHA256())
        return self._key.sign(payload)

    def __repr__(self) -> str:
        return f"PrivateKey({self.public.name})"


def load_private_key(path: Path, *, password: Password) -> PrivateKey:
    """The private key in a file, unlocked. The password is asked for only where one is needed. Raises
    ConfigInvalid; about 0.2 s for cosign's form, most of it without holding up other threads."""
    return parse_private_key(read_bounded(path, "the private key"), password=password, name=str(path))


def parse_private_key(content: bytes, *, password: Password, name: str = "the private key") -> PrivateKey:
    """The one private key of a file's content; `name` is what an error calls it. Raises ConfigInvalid."""
    label, pem, body = _block(content, name)
    if label in _OF_COSIGN:
        der = _decrypted(body, password, name)
        return _usable(lambda: _from_der(der), name)
    if label == _ENCRYPTED or b"Proc-Type:" in body:
        secret = password()
        return _usable(lambda: _from_pem(pem, secret), name, f"another password, or {_DAMAGED}")
    return _usable(lambda: _from_pem(pem, None), name)


def _block(content: bytes, name: str) -> tuple[bytes, bytes, bytes]:
    """Label, text and body of the one PEM block with a key; openssl writes the curve's in front of it."""
    blocks = [found for found in _BLOCK.finditer(content) if found[1] != b"EC PARAMETERS"]
    if len(blocks) != 1 or blocks[0][1] not in (*_OF_COSIGN, _ENCRYPTED, *_OPEN):
        labels = ", ".join(found[1].decode() for found in blocks)
        raise _unusable(name, f"PEM with {labels}" if labels else "no PEM")
    return blocks[0][1], blocks[0][0] + b"\n", blocks[0][2]


def _decrypted(body: bytes, password: Password, name: str) -> bytes:
    """The PKCS #8 key in cosign's form: JSON, scrypt, and NaCl's secretbox."""
    try:
        box = _Box(load(base64.b64decode(b"".join(body.split()), validate=True), "key"))
    except (Malformed, binascii.Error):
        raise _unusable(name, "a damaged key, or one with unknown parameters") from None
    from nacl.bindings import crypto_secretbox_open
    from nacl.exceptions import CryptoError

    secret = hashlib.scrypt(
        password(), salt=box.salt, n=box.n, r=8, p=1, dklen=32, maxmem=_SCRYPT_MEMORY_BYTES
    )
    try:
        return crypto_secretbox_open(box.ciphertext, box.nonce, secret)
    except CryptoError:
        raise _unusable(name, "another password, or a damaged key") from None


class _Box:
    """What cosign's file says of how it is encrypted, if it is one of the ways that it knows."""

    def __init__(self, fields: Mapping[str, Any]) -> None:
        kdf, cipher = mapping(fields.get("kdf"), "kdf"), mapping(fields.get("cipher"), "cipher")
        if kdf.get("name") != "scrypt" or cipher.get("name") != "nacl/secretbox":
            raise self._unknown()
        parameters = mapping(kdf.get("params"), "kdf.params")
        if parameters not in _SCRYPT or not all(type(value) is int for value in parameters.values()):
            raise self._unknown()
        self.n: int = parameters["N"]
        self.salt = base64_bytes(kdf.get("salt"), "kdf.salt")
        self.nonce = base64_bytes(cipher.get("nonce"), "cipher.nonce")
        self.ciphertext = base64_bytes(fields.get("ciphertext"), "ciphertext")

    @staticmethod
    def _unknown() -> Malformed:
        return Malformed("unknown encryption", expected="cosign's", found="another", remedy="")


def _from_der(der: bytes) -> object:
    from cryptography.hazmat.primitives.serialization import load_der_private_key

    return load_der_private_key(der, None)


def _from_pem(pem: bytes, password: bytes | None) -> object:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    return load_pem_private_key(pem, password)


def _usable(make: Callable[[], object], name: str, damaged: str = _DAMAGED) -> PrivateKey:
    """The key, if it is of a kind that verifiers accept."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    try:
        key = make()
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise _unusable(name, damaged) from None
    if not isinstance(key, ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey):
        raise _unusable(name, "a key of a kind that is not supported")
    der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    try:
        return PrivateKey(key, PublicKey(der))
    except ConfigInvalid as error:
        raise _unusable(name, error.found) from None


def _unusable(name: str, found: str) -> ConfigInvalid:
    return ConfigInvalid(
        f"{shown(name)} cannot be used",
        expected="a private key: cosign's, or PEM with ECDSA P-256, P-384 or P-521, Ed25519 or RSA",
        found=shown(found),
        remedy="set COSIGN_PASSWORD to the key's password, or cosign generate-key-pair",
    )
