"""Sigstore bundles, v0.1 to v0.3: what was signed, and what it takes to verify it (sigstore_bundle.proto).

Strict: only the fields and spellings that Sigstore's own tools write. Two readers of one bundle may never
see two, and the `sigstore` library reads the same bytes after us.
"""

import base64
import json
from collections.abc import Mapping
from typing import Any

from immutag.core.frozen import frozen
from immutag.trust.formats.dsse import Envelope, envelope_of
from immutag.trust.formats.malformed import (
    base64_bytes,
    load,
    mapping,
    optional_text,
    refuse,
    sequence,
    text,
    without_null,
)

BUNDLE_V03 = "application/vnd.dev.sigstore.bundle.v0.3+json"
MEDIA_TYPES = (
    BUNDLE_V03,
    *(f"application/vnd.dev.sigstore.bundle+json;version=0.{minor}" for minor in (1, 2, 3)),
)
_MATERIALS = ("publicKey", "x509CertificateChain", "certificate")
_FIELDS = ("mediaType", "verificationMaterial", "messageSignature", "dsseEnvelope")
_MATERIAL_FIELDS = (*_MATERIALS, "tlogEntries", "timestampVerificationData")
_HASHES = ("SHA2_256", "SHA2_384", "SHA2_512", "SHA3_256", "SHA3_384")
_LIMIT = 32  # entries of each kind; Sigstore's own verifiers take as many
_HINT_CHARACTERS = 1024


@frozen()
class KeyHint:
    """Which key the signature is by. Nothing vouches for it; empty says nothing."""

    hint: str


@frozen()
class CertificateChain:
    """The signer's certificate first, then those that may lead to a root; each in DER, none of it parsed."""

    certificates: tuple[bytes, ...]

    @property
    def leaf(self) -> bytes:
        return self.certificates[0]


@frozen()
class MessageSignature:
    """A signature over content that is elsewhere. `algorithm` and `digest` only name that content."""

    algorithm: str
    digest: bytes
    signature: bytes


@frozen()
class Message:
    """A bare signature, and the content that it is said to be over."""

    signature: bytes
    content: bytes


@frozen()
class Bundle:
    """A signature with its verification material. Well formed, and nothing of it verified.

    `log_entries` are as they stand there, objects of the transparency log; `timestamps` are RFC 3161
    responses in DER; `raw` is the bundle's own bytes.
    """

    media_type: str
    material: KeyHint | CertificateChain
    log_entries: tuple[Mapping[str, Any], ...]
    timestamps: tuple[bytes, ...]
    content: Envelope | MessageSignature
    raw: bytes


def parse_bundle(raw: bytes) -> Bundle:
    """What the bytes say. Raises Malformed."""
    fields = without_null(load(raw, "bundle"))
    mapping(fields, "bundle", known=_FIELDS)
    media_type = text(fields.get("mediaType"), "mediaType")
    if media_type not in MEDIA_TYPES:
        refuse("mediaType", "a bundle of version 0.1 to 0.3", media_type)
    path = "verificationMaterial"
    material = without_null(mapping(fields.get(path), path, known=_MATERIAL_FIELDS))
    return Bundle(
        media_type,
        _material(material, path),
        _log_entries(material.get("tlogEntries"), f"{path}.tlogEntries"),
        _timestamps(material.get("timestampVerificationData"), f"{path}.timestampVerificationData"),
        _content(fields),
        raw,
    )


def encode_bundle(envelope: Envelope, *, hint: str) -> bytes:
    """A bundle of version 0.3 for an envelope that a key has signed, without log and timestamps."""
    document = {
        "mediaType": BUNDLE_V03,
        "verificationMaterial": {"publicKey": {"hint": hint}},
        "dsseEnvelope": envelope.as_json(),
    }
    return json.dumps(document, separators=(",", ":")).encode()


def encode_logged(signature: MessageSignature, *, hint: str, entry: Mapping[str, Any]) -> bytes:
    """A bundle of version 0.3 for a bare signature by a key, with the log entry about it."""
    document = {
        "mediaType": BUNDLE_V03,
        "verificationMaterial": {"publicKey": {"hint": hint}, "tlogEntries": [entry]},
        "messageSignature": {
            "messageDigest": {
                "algorithm": signature.algorithm,
                "digest": base64.b64encode(signature.digest).decode(),
            },
            "signature": base64.b64encode(signature.signature).decode(),
        },
    }
    return json.dumps(document, separators=(",", ":")).encode()


def _material(fields: Mapping[str, Any], path: str) -> KeyHint | CertificateChain:
    name = _one_of(fields, _MATERIALS, path)
    path = f"{path}.{name}"
    if name == "publicKey":
        hint = optional_text(mapping(fields[name], path, known=("hint",)).get("hint"), f"{path}.hint")
        if len(hint) > _HINT_CHARACTERS:
            refuse(f"{path}.hint", f"at most {_HINT_CHARACTERS} characters", len(hint))
        return KeyHint(hint)
    if name == "certificate":
        return CertificateChain((_bytes_in(fields[name], "rawBytes", path),))
    chain = mapping(fields[name], path, known=("certificates",)).get("certificates")
    path = f"{path}.certificates"
    return CertificateChain(
        tuple(
            _bytes_in(each, "rawBytes", f"{path}[{at}]")
            for at, each in enumerate(sequence(chain, path, limit=_LIMIT))
        )
    )


def _content(fields: Mapping[str, Any]) -> Envelope | MessageSignature:
    name = _one_of(fields, ("messageSignature", "dsseEnvelope"), "bundle")
    if name == "messageSignature":
        return _message_signature(fields[name], name)
    inner = mapping(fields[name], name, known=("payload", "payloadType", "signatures"))
    for at, each in enumerate(sequence(inner.get("signatures"), f"{name}.signatures", limit=1)):
        mapping(each, f"{name}.signatures[{at}]", known=("sig", "keyid"))
    return envelope_of(inner, name)


def _message_signature(value: object, path: str) -> MessageSignature:
    fields = mapping(value, path, known=("messageDigest", "signature"))
    digest = mapping(fields.get("messageDigest"), f"{path}.messageDigest", known=("algorithm", "digest"))
    algorithm = text(digest.get("algorithm"), f"{path}.messageDigest.algorithm")
    if algorithm not in _HASHES:
        refuse(f"{path}.messageDigest.algorithm", " or ".join(_HASHES), algorithm)
    return MessageSignature(
        algorithm,
        base64_bytes(digest.get("digest"), f"{path}.messageDigest.digest"),
        _some(fields.get("signature"), f"{path}.signature"),
    )


def _log_entries(value: object, path: str) -> tuple[Mapping[str, Any], ...]:
    if value is None or value == []:
        return ()
    entries = enumerate(sequence(value, path, limit=_LIMIT))
    return tuple(mapping(each, f"{path}[{at}]") for at, each in entries)


def _timestamps(value: object, path: str) -> tuple[bytes, ...]:
    if value is None:
        return ()
    found = mapping(value, path, known=("rfc3161Timestamps",)).get("rfc3161Timestamps")
    path = f"{path}.rfc3161Timestamps"
    if found is None or found == []:
        return ()
    entries = enumerate(sequence(found, path, limit=_LIMIT))
    return tuple(_bytes_in(each, "signedTimestamp", f"{path}[{at}]") for at, each in entries)


def _one_of(fields: Mapping[str, Any], names: tuple[str, ...], path: str) -> str:
    found = [name for name in names if name in fields]
    if len(found) != 1:
        refuse(path, f"one of {', '.join(names)}", ", ".join(found))
    return found[0]


def _bytes_in(value: object, name: str, path: str) -> bytes:
    return _some(mapping(value, path, known=(name,)).get(name), f"{path}.{name}")


def _some(value: object, path: str) -> bytes:
    content = base64_bytes(value, path)
    if not content:
        refuse(path, "some bytes", "none")
    return content
