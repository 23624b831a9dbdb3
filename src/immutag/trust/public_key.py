"""Public keys: which ones can be trusted at all, and whether a signature is by one of them (DR-018).

A key says by itself how it signs, as in Sigstore's algorithm registry: ECDSA on P-256, P-384, P-521 with
SHA-256, -384, -512 (ASN.1 signatures); RSA PKCS #1 v1.5 with SHA-256; Ed25519, never pre-hashed. So nobody
can talk a verifier into another algorithm.
"""

import base64
import binascii
import hashlib
import re
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from immutag.core.errors import ConfigInvalid
from immutag.core.frozen import frozen
from immutag.core.values import shown

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.hazmat.primitives.hashes import HashAlgorithm

    Usable = EllipticCurvePublicKey | Ed25519PublicKey | RSAPublicKey

FILE_LIMIT_BYTES = 64 * 1024
_PEM = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----")
_ONE_KEY = re.compile(
    rb"\s*-----BEGIN PUBLIC KEY-----\r?\n([A-Za-z0-9+/\r\n]+={0,2})\s*-----END PUBLIC KEY-----\s*"
)
_LABELS = (b"PUBLIC KEY", b"RSA PUBLIC KEY")
_RSA_BITS = range(2048, 16384 + 1)
_P256 = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200")
"""How every P-256 key begins, as SubjectPublicKeyInfo; its point follows (RFC 5480)."""
_P256_BYTES = len(_P256) + 65
_DAMAGED = "a damaged key, or one of a kind that is not supported"
_EXPECTED = (
    "a PEM file with one public key: ECDSA P-256, P-384 or P-521, Ed25519, or RSA of 2048 bits or more"
)


@frozen()
class PublicKey:
    """A public key as SubjectPublicKeyInfo in DER, of a kind that can be used."""

    der: bytes

    def __post_init__(self) -> None:
        _usable(self.der)

    @property
    def hint(self) -> str:
        """What cosign writes into a bundle to say which key it is by."""
        return base64.b64encode(hashlib.sha256(self.der).digest()).decode()

    @property
    def name(self) -> str:
        """What findings, facts and people call it."""
        return f"key sha256:{hashlib.sha256(self.der).hexdigest()}"

    def verify(self, signature: bytes, payload: bytes) -> bool:
        """Whether the signature over the payload is by this key."""
        from cryptography.exceptions import InvalidSignature

        try:
            _verify(_usable(self.der), signature, payload)
        except InvalidSignature:
            return False
        return True

    def pem(self) -> bytes:
        """The key as other tools take it."""
        lines = base64.encodebytes(self.der).replace(b"\n", b"")
        body = b"\n".join(lines[at : at + 64] for at in range(0, len(lines), 64))
        return b"-----BEGIN PUBLIC KEY-----\n%b\n-----END PUBLIC KEY-----\n" % body

    def __repr__(self) -> str:
        return f"PublicKey({self.name})"


def load_public_key(path: Path) -> PublicKey:
    """The public key in a PEM file. Raises ConfigInvalid."""
    return parse_public_key(read_bounded(path, "the public key"), name=str(path))


def parse_public_key(pem: bytes, *, name: str = "the public key") -> PublicKey:
    """The one public key of a PEM text; `name` is what an error calls it. Raises ConfigInvalid."""
    usual = _usual(pem)
    if usual is not None:
        return _named(usual, name)
    labels = _PEM.findall(pem)
    if len(labels) != 1 or labels[0] not in _LABELS:
        found = ", ".join(label.decode() for label in labels)
        raise unusable(name, f"PEM with {found}" if labels else "no PEM")
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

    try:
        key = load_pem_public_key(pem)
        der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise unusable(name, _DAMAGED) from None
    return _named(der, name)


def _usual(pem: bytes) -> bytes | None:
    """The DER of a P-256 key in the usual PEM; None for whatever else it may be."""
    found = _ONE_KEY.fullmatch(pem)
    try:
        der = base64.b64decode(found[1]) if found else b""
    except binascii.Error:
        return None
    return der if _is_p256(der) else None


def _named(der: bytes, name: str) -> PublicKey:
    try:
        return PublicKey(der)
    except ConfigInvalid as error:
        raise unusable(name, error.found) from None


def read_bounded(path: Path, what: str) -> bytes:
    """A key file's bytes. Raises ConfigInvalid where it cannot be read or is too large to be one."""
    try:
        with path.open("rb") as file:
            content = file.read(FILE_LIMIT_BYTES + 1)
    except OSError as error:
        raise ConfigInvalid(
            f"{what} cannot be read",
            expected="a file that can be read",
            found=f"{shown(str(path))}: {error.strerror}",
            remedy="correct [trust] in immutag.toml, or the file's permissions",
        ) from error
    if len(content) > FILE_LIMIT_BYTES:
        raise unusable(str(path), f"more than {FILE_LIMIT_BYTES} bytes")
    return content


def hash_for(curve: object) -> "HashAlgorithm":
    """The hash that goes with a curve."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    if isinstance(curve, ec.SECP256R1):
        return hashes.SHA256()
    if isinstance(curve, ec.SECP384R1):
        return hashes.SHA384()
    if isinstance(curve, ec.SECP521R1):
        return hashes.SHA512()
    raise unusable("the key", "ECDSA on another curve")


def unusable(name: str, found: str) -> ConfigInvalid:
    """Why a key cannot be used."""
    return ConfigInvalid(
        f"{shown(name)} cannot be used",
        expected=_EXPECTED,
        found=shown(found),
        remedy="cosign generate-key-pair, or cosign public-key --key cosign.key",
    )


@lru_cache(maxsize=64)
def _usable(der: bytes) -> "Usable":
    """The key, if it is one that can be used. Raises ConfigInvalid."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec

    try:
        if _is_p256(der):
            return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), der[len(_P256) :])
        key = _load(der)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise unusable("the key", _DAMAGED) from None
    from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

    if isinstance(key, ec.EllipticCurvePublicKey):
        hash_for(key.curve)
        return key
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size not in _RSA_BITS:
            raise unusable("the key", f"RSA of {key.key_size} bits")
        return key
    if isinstance(key, ed25519.Ed25519PublicKey):
        return key
    raise unusable("the key", "a kind that is not supported")


def _verify(key: "Usable", signature: bytes, payload: bytes) -> None:
    """Raises InvalidSignature. Each kind of key loads what it needs."""
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

    if isinstance(key, EllipticCurvePublicKey):
        from immutag.trust.ecdsa import VerifyingEcdsa

        key.verify(signature, payload, VerifyingEcdsa(hash_for(key.curve)))
        return
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.hazmat.primitives.hashes import SHA256

    if isinstance(key, RSAPublicKey):
        key.verify(signature, payload, PKCS1v15(), SHA256())
    else:
        key.verify(signature, payload)


def _is_p256(der: bytes) -> bool:
    """Whether it is a P-256 key of the usual form. The library's reader of keys takes 15 ms to import, and
    this form needs none."""
    return der.startswith(_P256) and len(der) == _P256_BYTES and der[len(_P256)] == 0x04


def _load(der: bytes) -> object:
    from cryptography.hazmat.primitives.serialization import load_der_public_key

    return load_der_public_key(der)
