"""What kind of manifest an answer holds: said by the bytes, or else by the header."""

import json
from typing import Any

from immutag.core.errors import RegistryUnavailable
from immutag.core.values import shown
from immutag.oci import IMAGE_INDEX, IMAGE_MANIFEST, INDEXES, MANIFESTS
from immutag.oci.http import Response

_KNOWN = MANIFESTS | INDEXES


def media_type_of(answer: Response) -> str:
    """The media type of a manifest or index. Raises RegistryUnavailable for anything else.

    Bytes that are no manifest but are said to be one count as one: their digest is another, and the
    comparison of digests is what says so (contracts: a complete answer with other bytes).
    """
    if answer.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise _nonsense("an encoding that was not asked for")
    header = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    document = _object(answer.body)
    said = document.get("mediaType")
    if isinstance(said, str) and said in _KNOWN:
        return said
    if header in _KNOWN and answer.body:
        return header
    if document.get("schemaVersion") == 2 and isinstance(document.get("manifests"), list):
        return IMAGE_INDEX
    if document.get("schemaVersion") == 2 and isinstance(document.get("layers"), list):
        return IMAGE_MANIFEST
    raise _nonsense(f"{len(answer.body)} bytes of {header or 'no type'}")


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _nonsense(found: str) -> RegistryUnavailable:
    return RegistryUnavailable(
        "the registry gave something that is no manifest",
        expected="an OCI or Docker v2 manifest or index",
        found=shown(found),
        remedy="check that the address is a registry's; a login page or proxy may stand before it",
    )
