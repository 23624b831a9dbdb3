"""Layout folders written by hand, so that what our reader says can be compared with what was written."""

import gzip
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from immutag.core.values import Digest
from immutag.oci import Descriptor

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
GZIPPED_LAYER = LAYER + "+gzip"

Json = dict[str, Any]


def described(content: bytes, media_type: str) -> Json:
    """The descriptor of some bytes, as JSON."""
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    return {"mediaType": media_type, "digest": digest, "size": len(content)}


def descriptor(fields: Json) -> Descriptor:
    return Descriptor(fields["mediaType"], Digest(fields["digest"]), fields["size"])


def add(folder: Path, content: bytes, media_type: str = LAYER) -> Json:
    """Write the bytes as a blob."""
    fields = described(content, media_type)
    path = blob_path(folder, fields)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return fields


def blob_path(folder: Path, fields: Json) -> Path:
    return folder / "blobs" / "sha256" / str(fields["digest"]).removeprefix("sha256:")


def add_json(folder: Path, document: Json, media_type: str) -> Json:
    return add(folder, json.dumps(document).encode(), media_type)


def add_image(
    folder: Path,
    *layers: bytes,
    labels: Mapping[str, str] | None = None,
    architecture: str = "amd64",
    layer_type: str = LAYER,
    **fields: Any,
) -> Json:
    """Write an image of these layers (uncompressed content); `fields` are more of its manifest."""
    config = {
        "os": "linux",
        "architecture": architecture,
        "config": {"Labels": dict(labels)} if labels else {},
        "rootfs": {"type": "layers", "diff_ids": [described(layer, LAYER)["digest"] for layer in layers]},
    }
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": add_json(folder, config, CONFIG),
        "layers": [
            add(folder, gzip.compress(layer, mtime=0) if layer_type == GZIPPED_LAYER else layer, layer_type)
            for layer in layers
        ],
        **fields,
    }
    return add_json(folder, document, MANIFEST)


def add_index(folder: Path, *children: Json, **fields: Any) -> Json:
    document = {"schemaVersion": 2, "mediaType": INDEX, "manifests": list(children), **fields}
    return add_json(folder, document, INDEX)


def finish(folder: Path, *roots: Json) -> Path:
    """Write oci-layout and index.json."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": list(roots)}))
    return folder


def tar_of(name: str, content: bytes) -> bytes:
    """A layer with one file."""
    import io
    import tarfile

    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as tar:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
    return written.getvalue()
