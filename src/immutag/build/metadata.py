"""The base image that BuildKit resolved, from what buildx writes beside a build (`--metadata-file`).

buildah says it in the manifest by itself (OCI image-spec, annotations.md); a BuildKit image says it so, too.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote

from immutag.core.dockerfile import bases_in

BASE_NAME = "org.opencontainers.image.base.name"
BASE_DIGEST = "org.opencontainers.image.base.digest"
_PROVENANCE = "buildx.build.provenance"
_PURL = "pkg:docker/"
_SHA256 = re.compile(r"[0-9a-f]{64}")
_LIMIT_BYTES = 16 * 1024 * 1024


def base_annotations(metadata: Path, dockerfile: str) -> Mapping[str, str]:
    """The annotations that name the last stage's base; none where that is not known for sure, or differs
    from platform to platform."""
    base = bases_in(dockerfile).last
    if base is None:
        return {}
    name = _full_name(base)
    found = {digest for uri, digest in _materials(metadata) if _name_of(uri) == name}
    return {BASE_NAME: name, BASE_DIGEST: f"sha256:{found.pop()}"} if len(found) == 1 else {}


def _materials(metadata: Path) -> list[tuple[str, str]]:
    """Address and SHA-256 of every image that was used; nothing if this buildx does not say."""
    try:
        with metadata.open("rb") as file:
            document = json.loads(file.read(_LIMIT_BYTES))
    except (OSError, ValueError, RecursionError):
        return []
    told = [value for key, value in _mapping(document).items() if key.partition("/")[0] == _PROVENANCE]
    found = []
    for provenance in told:
        for material in _list(_mapping(provenance).get("materials")):
            uri = _mapping(material).get("uri")
            digest = _mapping(_mapping(material).get("digest")).get("sha256")
            if isinstance(uri, str) and isinstance(digest, str) and _SHA256.fullmatch(digest):
                found.append((uri, digest))
    return found


def _name_of(uri: str) -> str | None:
    """The reference in a package URL as BuildKit writes it: `pkg:docker/NAME@TAG?digest=…`."""
    if not uri.startswith(_PURL):
        return None
    path, _, query = uri.removeprefix(_PURL).partition("?")
    name, _, tag = unquote(path).rpartition("@") if "@" in path else (unquote(path), "", "")
    digest = parse_qs(query).get("digest")
    return _full_name(f"{name}{f':{tag}' if tag else ''}{f'@{digest[0]}' if digest else ''}")


def _full_name(reference: str) -> str:
    """The reference as docker completes it: its registry, and the tag where it names neither."""
    rest, at, digest = reference.partition("@")
    first, slash, _ = rest.partition("/")
    if not (slash and ("." in first or ":" in first or first == "localhost")):
        rest = f"docker.io/{rest if slash else f'library/{rest}'}"
    if not at and ":" not in rest.rpartition("/")[2]:
        rest += ":latest"
    return rest + at + digest


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []
