"""The tags that standards put beside an image: the only ones that are ever written a second time.

The referrers' fallback `sha256-<hex>` (distribution-spec, "Referrers Tag Schema"), and cosign's own.
"""

from enum import Enum

from immutag.core.errors import PushFailure
from immutag.core.frozen import frozen
from immutag.core.values import Digest
from immutag.oci import Descriptor

SIMPLE_SIGNING = "application/vnd.dev.cosign.simplesigning.v1+json"
"""What cosign's layers behind `.sig` are."""
DSSE_ENVELOPE = "application/vnd.dsse.envelope.v1+json"
"""What those behind `.att` are."""


class Suffix(Enum):
    """Which of the tags of an image."""

    REFERRERS = ""
    SIGNATURES = ".sig"
    ATTESTATIONS = ".att"
    SBOMS = ".sbom"


@frozen()
class StandardTag:
    """`sha256-<hex>[.sig|.att|.sbom]`: made from an image's digest, so it can be no release's tag."""

    subject: Digest
    suffix: Suffix = Suffix.REFERRERS

    def __str__(self) -> str:
        return f"{self.subject.algorithm}-{self.subject.hex[:64]}{self.suffix.value}"


@frozen()
class TagContent:
    """What lies behind such a tag at this moment."""

    content: Descriptor
    text: bytes
    etag: str | None


class TagImmutable(PushFailure):
    """The registry forbids to write a tag twice, so nothing can be added behind this one.

    What needs no tag still works: referrers where the registry has the API, or a repository of their own for
    signatures, whose tags may change.
    """


def immutable(tag: StandardTag, found: str) -> TagImmutable:
    """The error for a registry that keeps the tag as it is."""
    return TagImmutable(
        f"the registry forbids to add something behind the tag {tag}",
        expected="a tag that may be written again, as the standards have it",
        found=found,
        remedy="set [trust] signature_repository to a repository whose tags may change",
    )
