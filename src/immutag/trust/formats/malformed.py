"""Documents of others, field by field: what is not as its specification says is `Malformed`, and no more.

Whoever reads them says what a malformed one counts as: a signature that is none is `invalid`.
"""

import base64
import binascii
import json
import re
from collections.abc import Collection, Mapping
from typing import Any, NoReturn

from immutag.core.errors import ImmutagError
from immutag.core.values import shown
from immutag.oci.manifest import decode

LIMIT_BYTES = 16 * 1024 * 1024
"""The largest signature or attestation that is read: the biggest SBOMs take a few MiB."""

_ESCAPED_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_URL_SAFE = str.maketrans("-_", "+/")


class Malformed(ImmutagError):
    """Bytes of others that are not what they should be. It never leaves `trust`; if it did, nothing would
    have been determined."""

    code, exit_status = "SOFT_VERIFY_TOOL_ERROR", 16
    meaning = "a signature or attestation is not what it should be"


def refuse(path: str, expected: str, found: object) -> NoReturn:
    """Say which field is wrong. Raises Malformed."""
    words = shown(found) if isinstance(found, str) else shown(repr(found)[:400])
    raise Malformed(
        f"{shown(path)} is not what it should be",
        expected=expected,
        found=words or "nothing",
        remedy="make the signature again with a tool that follows the specification",
    )


def load(content: bytes, what: str) -> dict[str, Any]:
    """A JSON object in UTF-8: bounded in size and depth, no key twice, and no halves of characters, which
    JSON can escape and nothing can encode. Raises Malformed."""
    document = mapping(decode(content, wrong=Malformed, limit_bytes=LIMIT_BYTES), what)
    if _ESCAPED_SURROGATE.search(content):
        try:
            json.dumps(document, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            refuse(what, "whole characters", "half of one")
    return document


def mapping(value: object, path: str, *, known: Collection[str] | None = None) -> dict[str, Any]:
    """An object; with `known`, one without other fields than these."""
    if not isinstance(value, dict):
        refuse(path, "an object", value)
    if known is not None and (unknown := value.keys() - set(known)):
        refuse(path, f"no other fields than {', '.join(known)}", min(unknown))
    return value


def sequence(value: object, path: str, *, limit: int) -> list[Any]:
    """A list of at least one and at most `limit` entries."""
    if not isinstance(value, list) or not 1 <= len(value) <= limit:
        refuse(path, f"a list of 1 to {limit}", value if not isinstance(value, list) else len(value))
    return value


def text(value: object, path: str) -> str:
    """A text."""
    if not isinstance(value, str):
        refuse(path, "a text", value)
    return value


def optional_text(value: object, path: str) -> str:
    """A text, empty where there is none."""
    return "" if value is None else text(value, path)


def base64_bytes(value: object, path: str, *, url_safe: bool = False) -> bytes:
    """Base64, padded and in its one canonical form (RFC 4648, sections 3.5 and 4); `url_safe`: either
    alphabet will do."""
    if not isinstance(value, str) or not value.isascii():
        refuse(path, "base64", value)
    standard = value.translate(_URL_SAFE) if url_safe else value
    try:
        content = base64.b64decode(standard, validate=True)
    except binascii.Error as error:
        refuse(path, "base64", str(error))
    if base64.b64encode(content).decode() != standard:
        refuse(path, "base64 in its canonical form", value)
    return content


def without_null(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that are set: in Protobuf's JSON, `null` says that one is not."""
    return {name: value for name, value in fields.items() if value is not None}
