"""cosign's legacy signature: a layer with the payload, and all else in its annotations (cosign, SPEC.md)."""

import re
from collections.abc import Mapping
from typing import Any

from immutag.core.frozen import frozen
from immutag.trust.formats.malformed import base64_bytes, load, mapping, refuse, text
from immutag.trust.formats.simple_signing import (
    CERTIFICATE,
    CHAIN,
    LOG_BUNDLE,
    SIGNATURE,
    TIMESTAMP,
    SimpleSigning,
    parse_simple,
)

_CERTIFICATES = 32
_PEM = re.compile(
    r"-----BEGIN CERTIFICATE-----\s+([A-Za-z0-9+/=\s]+?)\s*-----END CERTIFICATE-----\s*", re.ASCII
)
_INTEGER_LIMIT = 1 << 63


@frozen()
class LogPromise:
    """What the first generation's log promised: to hold this entry (`body`), since this time.

    `body` is base64, as it was signed; `time` is in seconds since 1970, `log` the hex id of the log's key.
    """

    body: str
    time: int
    index: int
    log: str
    signature: bytes


@frozen()
class LegacySignature:
    """A payload and its signature, with what it takes to verify it. Well formed, and nothing of it verified.

    `chain` holds certificates in DER, the signer's first; it is empty for a key's signature.
    """

    payload: bytes
    claim: SimpleSigning
    signature: bytes
    chain: tuple[bytes, ...]
    promise: LogPromise | None
    timestamp: bytes | None


def parse_legacy(payload: bytes, annotations: Mapping[str, str]) -> LegacySignature:
    """What a layer and its annotations say. Raises Malformed."""
    signature = base64_bytes(annotations.get(SIGNATURE), SIGNATURE)
    if not signature:
        refuse(SIGNATURE, "a signature", "")
    leaf = annotations.get(CERTIFICATE)
    chain = annotations.get(CHAIN)
    return LegacySignature(
        payload,
        parse_simple(payload),
        signature,
        (*_pem(leaf, CERTIFICATE, limit=1), *(_pem(chain, CHAIN) if chain else ())) if leaf else (),
        _promise(annotations[LOG_BUNDLE]) if annotations.get(LOG_BUNDLE) else None,
        _timestamp(annotations[TIMESTAMP]) if annotations.get(TIMESTAMP) else None,
    )


def _pem(text: str, path: str, *, limit: int = _CERTIFICATES) -> tuple[bytes, ...]:
    found = _PEM.findall(text)
    if not 1 <= len(found) <= limit or _PEM.sub("", text).strip():
        refuse(path, f"1 to {limit} certificates in PEM", text)
    return tuple(base64_bytes("".join(each.split()), path) for each in found)


def _promise(content: str) -> LogPromise:
    fields = load(content.encode(), LOG_BUNDLE)
    entry = mapping(fields.get("Payload"), f"{LOG_BUNDLE}.Payload")
    log = text(entry.get("logID"), f"{LOG_BUNDLE}.Payload.logID")
    if not re.fullmatch("[0-9a-f]{64}", log):
        refuse(f"{LOG_BUNDLE}.Payload.logID", "64 lowercase hex characters", log)
    return LogPromise(
        text(entry.get("body"), f"{LOG_BUNDLE}.Payload.body"),
        _number(entry, "integratedTime"),
        _number(entry, "logIndex"),
        log,
        base64_bytes(fields.get("SignedEntryTimestamp"), f"{LOG_BUNDLE}.SignedEntryTimestamp"),
    )


def _timestamp(content: str) -> bytes:
    fields = load(content.encode(), TIMESTAMP)
    return base64_bytes(fields.get("SignedRFC3161Timestamp"), f"{TIMESTAMP}.SignedRFC3161Timestamp")


def _number(fields: Mapping[str, Any], name: str) -> int:
    value = fields.get(name)
    if type(value) is not int or not 0 <= value < _INTEGER_LIMIT:
        refuse(f"{LOG_BUNDLE}.Payload.{name}", "a number", value)
    return value
