"""A docker-archive (`docker save`, `podman save`) as an OCI image in a layout folder.

The config's bytes, and so the image's ID, stay as they are. Each layer's content is checked against the
config's diff_ids; an uncompressed one is gzipped, always to the same bytes.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from typing import Any

from immutag.core.errors import BuildFailure, DigestMismatch
from immutag.core.values import Digest, shown
from immutag.oci import IMAGE_MANIFEST, Descriptor
from immutag.oci.compress import MAGIC, gunzip, gzip
from immutag.oci.layout import Layout
from immutag.oci.manifest import decode, parse_config
from immutag.oci.table import Table
from immutag.oci.tar import Member

_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
_LAYER_LIMIT_BYTES = 64 << 30
_OTHER_COMPRESSIONS = {b"\x28\xb5\x2f\xfd": "zstd", b"\xfd7zX": "xz", b"BZh": "bzip2"}


def convert(table: Table, layout: Layout) -> Descriptor:
    """Write the archive's one image into the layout and finish it. Raises BuildFailure, DigestMismatch."""
    config_name, layer_names = _image(table)
    config_bytes = table.small(config_name)
    diff_ids = parse_config(config_bytes, wrong=BuildFailure).diff_ids
    if len(diff_ids) != len(layer_names):
        raise _failure(
            "a docker-archive's layers are not those of its config",
            f"{len(diff_ids)} layers",
            str(len(layer_names)),
        )
    config = layout.add(_CONFIG, [config_bytes])
    given = list(zip(map(table.member, layer_names), diff_ids, strict=True))
    layers = {each: _layer(table, *each, layout) for each in dict.fromkeys(given)}
    root = layout.add(IMAGE_MANIFEST, [_manifest(config, [layers[each] for each in given])])
    layout.set_root(root)
    return root


def _image(table: Table) -> tuple[str, list[str]]:
    """The names of the config and of the layers, from manifest.json."""
    images = decode(table.small("manifest.json"), wrong=BuildFailure)
    if not isinstance(images, list) or not all(isinstance(image, dict) for image in images):
        raise _failure("a docker-archive's manifest.json is not what it should be", "a list", repr(images))
    if len(images) != 1:
        raise _failure(
            "a docker-archive with several images, or none",
            "one image",
            ", ".join(str(image.get("RepoTags")) for image in images) or "none",
            remedy="save one image: docker save IMAGE -o FILE",
        )
    config, layers = images[0].get("Config"), images[0].get("Layers") or []
    if not _names([config]) or not _names(layers):
        raise _failure("a docker-archive's manifest.json is not what it should be", "names", repr(images[0]))
    return config, layers


def _names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def _layer(table: Table, member: Member, diff_id: Digest, layout: Layout) -> Descriptor:
    start = next(table.blocks(member), b"")
    for magic, name in _OTHER_COMPRESSIONS.items():
        if start.startswith(magic):
            raise _failure(
                "a docker-archive's layer is compressed in a way that cannot be checked",
                "tar or tar+gzip",
                name,
                remedy="skopeo copy docker-archive:FILE oci:FOLDER",
            )
    if start.startswith(MAGIC):
        for _ in _matching(gunzip(table.blocks(member), _LAYER_LIMIT_BYTES), diff_id):
            pass
        return layout.add(_LAYER, table.blocks(member))
    return layout.add(_LAYER, gzip(_matching(table.blocks(member), diff_id)))


def _matching(blocks: Iterable[bytes], diff_id: Digest) -> Iterator[bytes]:
    """The same blocks; at their end the digest must have been the config's."""
    hashing = hashlib.new(diff_id.algorithm)
    for block in blocks:
        hashing.update(block)
        yield block
    found = f"{diff_id.algorithm}:{hashing.hexdigest()}"
    if found != diff_id.value:
        raise DigestMismatch(
            "a layer's content is not what the image's config says",
            expected=str(diff_id),
            found=found,
            remedy="save the image again",
        )


def _manifest(config: Descriptor, layers: list[Descriptor]) -> bytes:
    document = {
        "schemaVersion": 2,
        "mediaType": IMAGE_MANIFEST,
        "config": _plain(config),
        "layers": [_plain(layer) for layer in layers],
    }
    return json.dumps(document, separators=(",", ":")).encode()


def _plain(content: Descriptor) -> dict[str, Any]:
    return {"mediaType": content.media_type, "digest": str(content.digest), "size": content.size_bytes}


def _failure(
    message: str, expected: str, found: str, *, remedy: str = "write it again: docker save, podman save"
) -> BuildFailure:
    return BuildFailure(message, expected=expected, found=shown(found), remedy=remedy)
