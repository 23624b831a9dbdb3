"""DSSE envelopes: a payload, its type, and signatures over both (DSSE v1.0.2, envelope.md, protocol.md)."""

import base64
import json
from collections.abc import Mapping
from typing import Any

from immutag.core.frozen import frozen
from immutag.trust.formats.malformed import base64_bytes, load, mapping, optional_text, refuse, sequence, text

_SIGNATURES = 32


@frozen()
class Signature:
    """A signature over the pre-authentication encoding. Nothing vouches for `keyid`; it is a hint."""

    keyid: str
    value: bytes


@frozen()
class Envelope:
    """A payload and at least one signature over it. Nothing of it is verified."""

    payload: bytes
    payload_type: str
    signatures: tuple[Signature, ...]

    def signed(self) -> bytes:
        """The bytes that the signatures are over."""
        return pae(self.payload_type, self.payload)

    def as_json(self) -> dict[str, Any]:
        """Its JSON form, as bundles hold it too."""
        return {
            "payload": base64.b64encode(self.payload).decode(),
            "payloadType": self.payload_type,
            "signatures": [_encoded(signature) for signature in self.signatures],
        }

    def encode(self) -> bytes:
        """The envelope by itself, as cosign's `.att` layers hold it."""
        return json.dumps(self.as_json(), separators=(",", ":")).encode()


def pae(payload_type: str, payload: bytes) -> bytes:
    """The pre-authentication encoding: type and payload, and where each ends (protocol.md)."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def parse_envelope(content: bytes) -> Envelope:
    """An envelope by itself. Fields that the specification does not know are ignored, as it says. Raises
    Malformed."""
    return envelope_of(load(content, "envelope"), "envelope")


def envelope_of(fields: Mapping[str, Any], path: str) -> Envelope:
    """An envelope within another document. Raises Malformed."""
    signatures = sequence(fields.get("signatures"), f"{path}.signatures", limit=_SIGNATURES)
    return Envelope(
        base64_bytes(fields.get("payload"), f"{path}.payload", url_safe=True),
        text(fields.get("payloadType"), f"{path}.payloadType"),
        tuple(_signature(each, f"{path}.signatures[{at}]") for at, each in enumerate(signatures)),
    )


def _signature(value: object, path: str) -> Signature:
    fields = mapping(value, path)
    found = base64_bytes(fields.get("sig"), f"{path}.sig", url_safe=True)
    if not found:
        refuse(f"{path}.sig", "a signature", "")
    return Signature(optional_text(fields.get("keyid"), f"{path}.keyid"), found)


def _encoded(signature: Signature) -> dict[str, str]:
    value = {"sig": base64.b64encode(signature.value).decode()}
    return {"keyid": signature.keyid, **value} if signature.keyid else value
