"""Attach a signed statement to an image, once: a Sigstore bundle as an OCI referrer (DR-018).

Before: the image is in the registry. After: whoever lists its referrers finds the statement, signed. Killed
in between: the next run finds what is there, or makes the same again.
"""

from collections.abc import Callable

from immutag.core.frozen import frozen
from immutag.core.statement import PAYLOAD_TYPE, Statement
from immutag.core.values import Digest
from immutag.oci import Descriptor
from immutag.oci.attach import Artifact, Layer, attach
from immutag.oci.registry import Registry
from immutag.trust import Signer
from immutag.trust.attached import Attached, Kind
from immutag.trust.bundle import BUNDLE_V03, parse_bundle
from immutag.trust.dsse import Envelope
from immutag.trust.malformed import Malformed
from immutag.trust.places import Places

CREATED = "org.opencontainers.image.created"
_CONTENT = "dev.sigstore.bundle.content"
_PREDICATE = "dev.sigstore.bundle.predicateType"


@frozen()
class Attesting:
    """How this project attests. `registry` is where attestations lie, `places` all places to look for them;
    `is_ours`: whether a bundle's signature holds, and is by this signer."""

    signer: Signer
    registry: Registry
    places: Places
    is_ours: Callable[[bytes], bool]


def attest(statement: Statement, *, subject: Descriptor, created: str, by: Attesting) -> Digest:
    """The manifest that holds the signed statement, attached and read back, or found there already.

    `created`: RFC 3339, the time of what is stated: nothing depends on the clock of this run.
    Raises PushFailure, RegistryAuth, RegistryUnavailable, SoftVerifyToolError.
    """
    payload = statement.encode()
    found: list[Digest] = []

    def is_there(candidate: Attached) -> bool:
        if _states(candidate, payload) and by.is_ours(candidate.content or b""):
            found.append(candidate.manifest.digest)
        return bool(found)

    by.places.look_until(subject.digest, is_there)
    if found:
        return found[0]
    bundle = by.signer.bundle(payload)
    return attach(by.registry, subject, artifact(bundle, statement.predicate_type, created)).digest


def artifact(bundle: bytes, predicate_type: str, created: str) -> Artifact:
    """A bundle as cosign 3 attaches it."""
    said = {_CONTENT: "dsse-envelope", _PREDICATE: predicate_type, CREATED: created}
    return Artifact(BUNDLE_V03, (Layer(BUNDLE_V03, bundle, {}),), said)


def _states(candidate: Attached, payload: bytes) -> bool:
    """Whether it is a bundle that holds exactly this statement."""
    if candidate.kind is not Kind.BUNDLE or candidate.content is None:
        return False
    try:
        content = parse_bundle(candidate.content).content
    except Malformed:
        return False
    return (
        isinstance(content, Envelope) and content.payload_type == PAYLOAD_TYPE and content.payload == payload
    )
