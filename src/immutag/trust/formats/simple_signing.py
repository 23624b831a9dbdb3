"""What cosign's older signatures sign: a "simple signing" payload (containers-signature.5, cosign's SPEC)."""

import json
import re
from collections.abc import Mapping
from typing import Any

from immutag.core.frozen import frozen
from immutag.core.values import Digest, ImageRef
from immutag.trust.formats.malformed import load, mapping, optional_text, refuse, text

MEDIA_TYPE = "application/vnd.dev.cosign.simplesigning.v1+json"
SIGNATURE = "dev.cosignproject.cosign/signature"
"""The layer's annotation with the signature, in base64."""

CERTIFICATE = "dev.sigstore.cosign/certificate"
CHAIN = "dev.sigstore.cosign/chain"
LOG_BUNDLE = "dev.sigstore.cosign/bundle"
TIMESTAMP = "dev.sigstore.cosign/rfc3161timestamp"

TYPE = "cosign container image signature"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")


@frozen()
class SimpleSigning:
    """A claim about one image, as it stands there: whether type, digest and reference are the right ones is
    for whoever verifies it. `reference` may be empty; `optional` is the signer's own."""

    kind: str
    digest: Digest
    reference: str
    optional: Mapping[str, Any]


def encode_simple(image: ImageRef, annotations: Mapping[str, str]) -> bytes:
    """The payload for an image, in cosign's own order and form."""
    document = {
        "critical": {
            "identity": {"docker-reference": str(image.repository)},
            "image": {"docker-manifest-digest": str(image.digest)},
            "type": TYPE,
        },
        "optional": dict(sorted(annotations.items())) or None,
    }
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


def parse_simple(payload: bytes) -> SimpleSigning:
    """What a payload says. Raises Malformed."""
    fields = load(payload, "payload")
    critical = mapping(fields.get("critical"), "critical")
    image = mapping(critical.get("image"), "critical.image")
    identity = mapping(critical.get("identity"), "critical.identity")
    digest = text(image.get("docker-manifest-digest"), "critical.image.docker-manifest-digest")
    if not _DIGEST.fullmatch(digest):
        refuse("critical.image.docker-manifest-digest", "a digest, sha256 or sha512", digest)
    optional = fields.get("optional")
    return SimpleSigning(
        text(critical.get("type"), "critical.type"),
        Digest(digest),
        optional_text(identity.get("docker-reference"), "critical.identity.docker-reference"),
        {} if optional is None else mapping(optional, "optional"),
    )
