"""What an entry of Rekor's says was signed, by which key: it must be the very signature that is verified.

A log proves that it holds an entry. Only this comparison says that the entry is about our signature
(CVE-2022-36056 was a verifier without it). Entries of both generations of Rekor are read.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Mapping
from typing import Any

from immutag.core.frozen import frozen
from immutag.trust.formats.malformed import Malformed, base64_bytes, load, mapping, refuse, sequence, text
from immutag.trust.judgement import Check, invalid

_SIGNATURES = 32
_HASHES = {
    **{name: name for name in ("sha256", "sha384", "sha512")},
    **{f"SHA2_{bits}": f"sha{bits}" for bits in (256, 384, 512)},
}
_PEM = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----\s+([A-Za-z0-9+/=\s]+?)\s*-----END \1-----\s*")


@frozen()
class Signed:
    """What was signed, by whom: `content` is what the signature is over, `payload` what an envelope holds
    (the same where there is none), `verifier` the DER of the public key or the certificate."""

    content: bytes
    payload: bytes
    signature: bytes
    verifier: bytes


@frozen()
class _Entry:
    """An entry, of whatever kind: a hash, and signatures with whose they are."""

    of_payload: bool
    algorithm: str
    hash: bytes
    signatures: tuple[tuple[bytes, bytes], ...]


def check_entry(body: bytes, signed: Signed) -> None:
    """The entry is about this signature, this content and this signer. Raises Refused."""
    try:
        entry = _parse(body)
    except Malformed as malformed:
        raise invalid(
            Check.LOG, f"its log entry cannot be read: {malformed.message}, {malformed.found}"
        ) from None
    content = signed.payload if entry.of_payload else signed.content
    if hashlib.new(entry.algorithm, content).digest() != entry.hash:
        raise invalid(Check.LOG, "the log entry is about other content")
    if entry.signatures != ((signed.signature, signed.verifier),):
        raise invalid(Check.LOG, "the log entry is about another signature")


def _parse(body: bytes) -> _Entry:
    fields = load(body, "entry")
    kind = text(fields.get("kind"), "kind"), text(fields.get("apiVersion"), "apiVersion")
    reader = _KINDS.get(kind)
    if reader is None:
        refuse("kind", ", ".join(" ".join(known) for known in _KINDS), " ".join(kind))
    return reader(mapping(fields.get("spec"), "spec"))


def _hashedrekord_v1(spec: Mapping[str, Any]) -> _Entry:
    signature = mapping(spec.get("signature"), "spec.signature")
    key = mapping(signature.get("publicKey"), "spec.signature.publicKey")
    return _Entry(
        False,
        *_hex_hash(mapping(spec.get("data"), "spec.data").get("hash"), "spec.data.hash"),
        ((base64_bytes(signature.get("content"), "spec.signature.content"), _pem(key.get("content"))),),
    )


def _dsse_v1(spec: Mapping[str, Any]) -> _Entry:
    found = sequence(spec.get("signatures"), "spec.signatures", limit=_SIGNATURES)
    entries = [mapping(each, "spec.signatures[]") for each in found]
    signatures = tuple(
        (base64_bytes(each.get("signature"), "spec.signatures[].signature"), _pem(each.get("verifier")))
        for each in entries
    )
    return _Entry(True, *_hex_hash(spec.get("payloadHash"), "spec.payloadHash"), signatures)


def _intoto_v2(spec: Mapping[str, Any]) -> _Entry:
    content = mapping(spec.get("content"), "spec.content")
    envelope = mapping(content.get("envelope"), "spec.content.envelope")
    path = "spec.content.envelope.signatures"
    found = sequence(envelope.get("signatures"), path, limit=_SIGNATURES)
    entries = [mapping(each, f"{path}[]") for each in found]
    signatures = tuple(
        (_twice(each.get("sig"), f"{path}[].sig"), _pem(each.get("publicKey"))) for each in entries
    )
    return _Entry(True, *_hex_hash(content.get("payloadHash"), "spec.content.payloadHash"), signatures)


def _hashedrekord_v2(spec: Mapping[str, Any]) -> _Entry:
    inner = mapping(spec.get("hashedRekordV002"), "spec.hashedRekordV002")
    signature = _signature_v2(inner.get("signature"), "signature")
    return _Entry(False, *_hash_v2(inner.get("data"), "data"), (signature,))


def _dsse_v2(spec: Mapping[str, Any]) -> _Entry:
    inner = mapping(spec.get("dsseV002"), "spec.dsseV002")
    found = sequence(inner.get("signatures"), "signatures", limit=_SIGNATURES)
    signatures = tuple(_signature_v2(each, "signatures[]") for each in found)
    return _Entry(True, *_hash_v2(inner.get("payloadHash"), "payloadHash"), signatures)


_KINDS: dict[tuple[str, str], Callable[[Mapping[str, Any]], _Entry]] = {
    ("hashedrekord", "0.0.1"): _hashedrekord_v1,
    ("dsse", "0.0.1"): _dsse_v1,
    ("intoto", "0.0.2"): _intoto_v2,
    ("hashedrekord", "0.0.2"): _hashedrekord_v2,
    ("dsse", "0.0.2"): _dsse_v2,
}


def _hex_hash(value: object, path: str) -> tuple[str, bytes]:
    fields = mapping(value, path)
    try:
        return _algorithm(fields, path), binascii.unhexlify(text(fields.get("value"), f"{path}.value"))
    except ValueError:
        refuse(f"{path}.value", "a hash in hex", fields.get("value"))


def _hash_v2(value: object, path: str) -> tuple[str, bytes]:
    fields = mapping(value, path)
    return _algorithm(fields, path), base64_bytes(fields.get("digest"), f"{path}.digest")


def _algorithm(fields: Mapping[str, Any], path: str) -> str:
    named = text(fields.get("algorithm"), f"{path}.algorithm")
    if named not in _HASHES:
        refuse(f"{path}.algorithm", "sha256, sha384 or sha512", named)
    return _HASHES[named]


def _signature_v2(value: object, path: str) -> tuple[bytes, bytes]:
    fields = mapping(value, path)
    verifier = mapping(fields.get("verifier"), f"{path}.verifier")
    holder = verifier.get("publicKey") or verifier.get("x509Certificate")
    raw = mapping(holder, f"{path}.verifier.publicKey").get("rawBytes")
    return base64_bytes(fields.get("content"), f"{path}.content"), base64_bytes(raw, f"{path}.verifier")


def _twice(value: object, path: str) -> bytes:
    """An envelope's signature is base64, and the entry holds it in base64 again."""
    return base64_bytes(base64_bytes(value, path).decode(errors="replace"), path)


def _pem(value: object) -> bytes:
    """The DER of a key or certificate that is in PEM, and that in base64."""
    found = _PEM.fullmatch(base64_bytes(value, "verifier"))
    if found is None:
        refuse("verifier", "one key or certificate in PEM", "something else")
    try:
        return base64.b64decode(b"".join(found[2].split()), validate=True)
    except binascii.Error as error:
        refuse("verifier", "one key or certificate in PEM", str(error))
