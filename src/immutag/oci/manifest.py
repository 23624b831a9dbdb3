"""Manifests, indexes and image configs, from bytes that nobody vouches for. Pure, and bounded.

Whoever reads them says as what a malformed one counts: a registry that answers nonsense is
`RegistryUnavailable`, a builder or archive that gives nonsense is `BuildFailure`.
"""

import json
import math
import re
from collections.abc import Mapping
from typing import Any, NoReturn

from immutag.core.errors import ConfigInvalid, ImmutagError, RegistryUnavailable
from immutag.core.frozen import frozen, replace
from immutag.core.values import Digest, Platform, shown
from immutag.oci import INDEXES, MANIFEST_LIMIT_BYTES, MANIFESTS, Descriptor

# RFC 6838, section 4.2. A manifest's goes into headers, so nothing else may pass.
_MEDIA_TYPE = re.compile(r"[A-Za-z0-9][\w!#$&^.+-]{0,126}/[A-Za-z0-9][\w!#$&^.+-]{0,126}", re.ASCII)
_PARAMETERS = re.compile(r"(?:; ?[\w.-]{1,64}=[\w.+-]{1,64}){0,4}", re.ASCII)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")
_DEPTH = 32
_SIZE_LIMIT_BYTES = 1 << 50


@frozen()
class Manifest:
    """An image or artifact manifest (OCI image-spec, manifest.md).

    `elsewhere` are the layers whose content is hosted elsewhere (`urls`, non-distributable);
    `layer_annotations` has each layer's, in their order.
    """

    media_type: str
    artifact_type: str | None
    config: Descriptor
    layers: tuple[Descriptor, ...]
    elsewhere: tuple[Descriptor, ...]
    subject: Descriptor | None
    annotations: Mapping[str, str]
    layer_annotations: tuple[Mapping[str, str], ...] = ()


@frozen()
class Child:
    """What an index says of one of its manifests. The manifest itself may say otherwise."""

    content: Descriptor
    platform: Platform | None
    artifact_type: str | None
    annotations: Mapping[str, str]


@frozen()
class Index:
    """An image index, or a layout's index.json (OCI image-spec, image-index.md)."""

    media_type: str
    artifact_type: str | None
    children: tuple[Child, ...]
    subject: Descriptor | None
    annotations: Mapping[str, str]


@frozen()
class Config:
    """What we read of an image's config (OCI image-spec, config.md). An artifact's has nothing of it."""

    labels: Mapping[str, str]
    diff_ids: tuple[Digest, ...]
    platform: Platform | None


def parse(
    content: bytes, media_type: str, *, wrong: type[ImmutagError] = RegistryUnavailable
) -> Manifest | Index:
    """What the bytes say, if they are what the descriptor's media type promises. Raises `wrong`."""
    if media_type not in MANIFESTS and media_type not in INDEXES:
        _refuse(wrong, "a manifest of a kind that is not supported", "an OCI or Docker v2 manifest or index",
                media_type)  # fmt: skip
    document = load(content, wrong=wrong)
    reader = _Reader(wrong)
    if document.get("schemaVersion") != 2:
        reader.refuse("schemaVersion", "2", document.get("schemaVersion"))
    if document.get("mediaType", media_type) != media_type:
        reader.refuse("mediaType", media_type, document["mediaType"])
    if media_type in INDEXES:
        return _index(document, media_type, reader)
    return _manifest(document, media_type, reader)


def parse_config(content: bytes, *, wrong: type[ImmutagError] = RegistryUnavailable) -> Config:
    """What an image's config says. Raises `wrong`."""
    document, reader = load(content, wrong=wrong), _Reader(wrong)
    settings = reader.mapping(document.get("config"), "config")
    rootfs = reader.mapping(document.get("rootfs"), "rootfs")
    diff_ids = reader.sequence(rootfs.get("diff_ids"), "rootfs.diff_ids")
    return Config(
        reader.texts(settings.get("Labels"), "config.Labels"),
        tuple(reader.digest(each, f"rootfs.diff_ids[{at}]") for at, each in enumerate(diff_ids)),
        reader.platform(document, "config"),
    )


def load(content: bytes, *, wrong: type[ImmutagError]) -> dict[str, Any]:
    """A JSON object, as `decode` reads it. Raises `wrong`."""
    document = decode(content, wrong=wrong)
    if not isinstance(document, dict):
        _refuse(wrong, "a document is not what it should be", "a JSON object",
                content[:80].decode(errors="replace"))  # fmt: skip
    return document


def decode(content: bytes, *, wrong: type[ImmutagError], limit_bytes: int = MANIFEST_LIMIT_BYTES) -> object:
    """JSON in UTF-8: bounded in size and depth, no key twice, no number that is none.

    Two readers of a document with a key twice may see two documents, so there is none. Raises `wrong`.
    """
    if len(content) > limit_bytes:
        _refuse(wrong, "a document is too large", f"at most {limit_bytes} bytes", f"{len(content)}")
    try:
        document: object = _JSON.decode(content.decode())
    except (ValueError, RecursionError) as error:
        _refuse(wrong, "a document is not JSON", "JSON in UTF-8, each key once", str(error))
    if not _shallow(document):
        _refuse(wrong, "a document is too deep", f"at most {_DEPTH} levels", "more")
    return document


class _Reader:
    """Reads fields; what is not as the specification says is refused with its path."""

    def __init__(self, wrong: type[ImmutagError]) -> None:
        self._wrong = wrong

    def refuse(self, path: str, expected: str, found: object) -> NoReturn:
        _refuse(self._wrong, f"a manifest's {shown(path)} is not what it should be", expected, repr(found))

    def mapping(self, value: object, path: str) -> dict[str, Any]:
        if value is None:
            return {}
        if not isinstance(value, dict):
            self.refuse(path, "an object", value)
        return value

    def sequence(self, value: object, path: str) -> list[Any]:
        if value is None:  # Go writes an empty list so
            return []
        if not isinstance(value, list):
            self.refuse(path, "a list", value)
        return value

    def text(self, value: object, path: str) -> str:
        if not isinstance(value, str) or _lone_surrogate(value):
            self.refuse(path, "a text", value)
        return value

    def texts(self, value: object, path: str) -> dict[str, str]:
        return {
            self.text(key, path): self.text(each, f"{path}.{key}")
            for key, each in self.mapping(value, path).items()
        }

    def digest(self, value: object, path: str) -> Digest:
        if not isinstance(value, str) or not _DIGEST.fullmatch(value):
            self.refuse(path, "a digest, sha256 or sha512", value)
        return Digest(value)

    def media_type(self, value: object, path: str) -> str:
        if not isinstance(value, str) or not _MEDIA_TYPE.fullmatch(value):
            self.refuse(path, "a media type", value)
        return value

    def artifact_type(self, document: Mapping[str, Any], path: str) -> str | None:
        """Older signatures have parameters in theirs; it never goes into a header."""
        value = document.get("artifactType")
        return self.text(value, f"{path}artifactType")[:256] if value else None

    def blob(self, value: object, path: str) -> Descriptor:
        """A layer's or config's descriptor: old Sigstore bundles have parameters in their media type."""
        fields = self.mapping(value, path)
        kind, semicolon, parameters = self.text(fields.get("mediaType"), f"{path}.mediaType").partition(";")
        if not _PARAMETERS.fullmatch(semicolon + parameters):
            self.refuse(f"{path}.mediaType", "a media type", fields["mediaType"])
        bare = self.descriptor({**fields, "mediaType": kind}, path)
        return replace(bare, media_type=fields["mediaType"]) if parameters else bare

    def descriptor(self, value: object, path: str) -> Descriptor:
        fields = self.mapping(value, path)
        size = fields.get("size")
        if type(size) is not int or not 0 <= size <= _SIZE_LIMIT_BYTES:
            self.refuse(f"{path}.size", "a number of bytes", size)
        return Descriptor(
            self.media_type(fields.get("mediaType"), f"{path}.mediaType"),
            self.digest(fields.get("digest"), f"{path}.digest"),
            size,
        )

    def subject(self, document: Mapping[str, Any]) -> Descriptor | None:
        value = document.get("subject")
        return None if value is None else self.descriptor(value, "subject")

    def platform(self, fields: Mapping[str, Any], path: str) -> Platform | None:
        parts = [
            self.text(fields.get(name) or "", f"{path}.{name}") for name in ("os", "architecture", "variant")
        ]
        if not parts[0] or not parts[1]:
            return None
        try:
            return Platform.parse("/".join(part for part in parts if part))
        except ConfigInvalid:
            self.refuse(path, "os and architecture", "/".join(parts))


def _manifest(document: Mapping[str, Any], media_type: str, reader: _Reader) -> Manifest:
    if "manifests" in document:  # what one client takes for an image, another takes for an index
        reader.refuse("content", "layers or manifests", "both")
    layers, annotations, elsewhere = [], [], []
    for at, each in enumerate(reader.sequence(document.get("layers"), "layers")):
        layer = reader.blob(each, f"layers[{at}]")
        layers.append(layer)
        annotations.append(reader.texts(each.get("annotations"), f"layers[{at}].annotations"))
        if each.get("urls") or "nondistributable" in layer.media_type or ".foreign." in layer.media_type:
            elsewhere.append(layer)
    return Manifest(
        media_type,
        reader.artifact_type(document, ""),
        reader.blob(document.get("config"), "config"),
        tuple(layers),
        tuple(elsewhere),
        reader.subject(document),
        reader.texts(document.get("annotations"), "annotations"),
        tuple(annotations),
    )


def _index(document: Mapping[str, Any], media_type: str, reader: _Reader) -> Index:
    if "layers" in document or "config" in document:
        reader.refuse("content", "layers or manifests", "both")
    return Index(
        media_type,
        reader.artifact_type(document, ""),
        tuple(
            _child(each, f"manifests[{at}]", reader)
            for at, each in enumerate(reader.sequence(document.get("manifests"), "manifests"))
        ),
        reader.subject(document),
        reader.texts(document.get("annotations"), "annotations"),
    )


def _child(value: object, path: str, reader: _Reader) -> Child:
    content = reader.descriptor(value, path)
    fields = reader.mapping(value, path)
    platform = reader.mapping(fields.get("platform"), f"{path}.platform")
    return Child(
        content,
        reader.platform(platform, f"{path}.platform"),
        reader.artifact_type(fields, f"{path}."),
        reader.texts(fields.get("annotations"), f"{path}.annotations"),
    )


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return document


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a number")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        _no_number(text)
    return number


_JSON = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_number, parse_float=_finite)
_CONTAINERS = (dict, list)


def _shallow(document: object) -> bool:
    level: list[Any] = [document] if isinstance(document, _CONTAINERS) else []
    for _ in range(_DEPTH):
        level = [
            inner
            for value in level
            for inner in (value.values() if isinstance(value, dict) else value)
            if isinstance(inner, _CONTAINERS)
        ]
        if not level:
            return True
    return False


def _lone_surrogate(text: str) -> bool:
    """JSON can escape half a character; no encoder takes it back."""
    return any("\ud800" <= char <= "\udfff" for char in text) if not text.isascii() else False


def _refuse(wrong: type[ImmutagError], message: str, expected: str, found: str) -> NoReturn:
    remedy = "push or build it again with a tool that follows the OCI image specification"
    raise wrong(message, expected=expected, found=shown(found), remedy=remedy)
