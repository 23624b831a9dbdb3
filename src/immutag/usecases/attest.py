"""Attach a signed statement to an image, once: a Sigstore bundle as an OCI referrer (DR-018).

Before: the image is in the registry. After: whoever lists its referrers finds the statement, signed. Killed
in between: the next run finds what is there, or makes the same again.
"""

from collections.abc import Callable, Sequence

from immutag.core.annotations import CREATED
from immutag.core.frozen import frozen
from immutag.core.statement import PAYLOAD_TYPE, Statement
from immutag.core.values import Digest
from immutag.oci import Descriptor
from immutag.oci.attach import Artifact, Layer, attach_all
from immutag.oci.registry import Registry
from immutag.trust import Signer
from immutag.trust.attached import Attached, Kind
from immutag.trust.formats.bundle import BUNDLE_V03, parse_bundle
from immutag.trust.formats.dsse import Envelope
from immutag.trust.formats.malformed import Malformed
from immutag.trust.places import Places

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
    return attest_all([statement], subject=subject, created=created, by=by)[0]


def attest_all(
    statements: Sequence[Statement], *, subject: Descriptor, created: str, by: Attesting
) -> list[Digest]:
    """The same of several statements: the image's list of referrers is read, and written, once for all."""
    payloads = [statement.encode() for statement in statements]
    found: dict[bytes, Digest] = {}

    def all_there(candidate: Attached) -> bool:
        stated = _stated(candidate)
        if stated in payloads and stated not in found and by.is_ours(candidate.content or b""):
            found[stated] = candidate.manifest.digest
        return len(found) == len(payloads)

    by.places.look_until(subject.digest, all_there)
    missing = [
        (payload, statement)
        for payload, statement in zip(payloads, statements, strict=True)
        if payload not in found
    ]
    artifacts = [
        artifact(by.signer.bundle(payload), each.predicate_type, created) for payload, each in missing
    ]
    if artifacts:
        made = attach_all(by.registry, subject, artifacts)
        found |= {payload: each.digest for (payload, _), each in zip(missing, made, strict=True)}
    return [found[payload] for payload in payloads]


def artifact(bundle: bytes, predicate_type: str, created: str) -> Artifact:
    """A bundle as cosign 3 attaches it."""
    said = {_CONTENT: "dsse-envelope", _PREDICATE: predicate_type, CREATED: created}
    return Artifact(BUNDLE_V03, (Layer(BUNDLE_V03, bundle, {}),), said)


def _stated(candidate: Attached) -> bytes | None:
    """The statement in a bundle, byte for byte; None in anything else."""
    if candidate.kind is not Kind.BUNDLE or candidate.content is None:
        return None
    try:
        content = parse_bundle(candidate.content).content
    except Malformed:
        return None
    if isinstance(content, Envelope) and content.payload_type == PAYLOAD_TYPE:
        return content.payload
    return None
