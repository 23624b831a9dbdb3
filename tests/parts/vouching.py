"""Images with signatures on them, made by hand: every part of a signature can be made wrong."""

import json
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from immutag.core.statement import COSIGN_SIGN, STATEMENT_V1
from immutag.core.values import Digest, ImageRef
from immutag.oci import Descriptor
from immutag.oci.attach import Artifact, Layer, attach
from immutag.oci.copy import copy
from immutag.oci.fanout import for_each
from immutag.oci.layout import Layout
from immutag.oci.legacy import SIMPLE_SIGNING, add_layer
from immutag.oci.registry import Registry
from immutag.oci.standard_tag import Suffix
from immutag.trust.formats.bundle import BUNDLE_V03
from immutag.trust.formats.simple_signing import encode_simple
from tests.parts.images import add_image, descriptor, finish

_WORKERS = 8


def push_image(registry: Registry, folder: Path, *, content: bytes | None = None) -> Descriptor:
    """Push an image that is nobody else's."""
    root = add_image(folder, os.urandom(16) if content is None else content)
    copy(Layout(finish(folder, root)), registry, descriptor(root))
    return descriptor(root)


def statement(*subjects: Digest, predicate_type: str = COSIGN_SIGN, **fields: Any) -> bytes:
    """An in-toto statement; `fields` are more of it, or others."""
    document = {
        "_type": STATEMENT_V1,
        "subject": [{"name": "", "digest": {each.algorithm: each.hex}} for each in subjects],
        "predicateType": predicate_type,
        "predicate": {},
    }
    return json.dumps(document | fields).encode()


def attach_bundle(
    registry: Registry, image: Descriptor, bundle: bytes, annotations: Mapping[str, str] | None = None
) -> Descriptor:
    """Attach the bytes as a bundle, whatever they are."""
    return attach(
        registry, image, Artifact(BUNDLE_V03, (Layer(BUNDLE_V03, bundle, {}),), dict(annotations or {}))
    )


def attach_legacy(
    registry: Registry, image: Descriptor, payload: bytes, annotations: Mapping[str, str]
) -> Descriptor:
    """Add the bytes as a layer behind cosign's tag, whatever they are."""
    layer = Layer(SIMPLE_SIGNING, payload, annotations)
    return add_layer(registry, image.digest, Suffix.SIGNATURES, layer)


def payload_of(registry: Registry, image: Descriptor) -> bytes:
    """What a legacy signature of the image signs."""
    return encode_simple(ImageRef(registry.repository, image.digest), {})


def sign_many(registry: Registry, folder: Path, signer: Any, count: int, *, legacy: bool) -> list[Descriptor]:
    """Push images and sign each, in one of the two forms; in a few threads, since there may be hundreds."""
    found: dict[int, Descriptor] = {}

    def sign(at: int, _: threading.Event) -> None:
        image = push_image(registry, folder / str(at))
        if legacy:
            payload = payload_of(registry, image)
            attach_legacy(registry, image, payload, signer.simple(payload))
        else:
            attach_bundle(registry, image, signer.bundle(statement(image.digest)))
        found[at] = image

    for_each(sign, range(count), workers=_WORKERS)
    return [found[at] for at in range(count)]
