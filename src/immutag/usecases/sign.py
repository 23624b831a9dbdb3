"""Sign a claimed digest, once: the bundle as a referrer, and cosign's legacy layer beside it (DR-018).

Before: the digest is claimed, and its content is in the registry. After: the signature is there, read back.
Killed in between: the next run finds what is there and adds what is not.
"""

from immutag.core.facts import Claimed, Signed
from immutag.core.statement import COSIGN_SIGN, Statement, Subject
from immutag.core.values import Digest, ImageRef
from immutag.oci import Descriptor
from immutag.oci.attach import Layer
from immutag.oci.legacy import add_layer
from immutag.oci.standard_tag import Suffix, TagImmutable
from immutag.trust.simple_signing import MEDIA_TYPE, encode_simple
from immutag.usecases.attest import Attesting, attest

REVISION = "org.opencontainers.image.revision"


def sign(claim: Claimed, claimed_at: str, *, legacy: bool, by: Attesting) -> Signed:
    """The signature of the claimed digest, made or found. `claimed_at`: the claim's time, RFC 3339.

    `legacy`: cosign's old form is wanted too. Raises PushFailure, RegistryAuth, RegistryUnavailable,
    SoftVerifyToolError.
    """
    statement = Statement((Subject("", claim.digest, {REVISION: str(claim.sha)}),), COSIGN_SIGN, {})
    subject = Descriptor(claim.media_type, claim.digest, claim.size_bytes)
    manifests = [attest(statement, subject=subject, created=claimed_at, by=by)]
    if legacy and (layered := _add_legacy(claim, by)):
        manifests.append(layered)
    return Signed(claim.sha, claim.repository, claim.digest, by.signer.name, tuple(manifests))


def _add_legacy(claim: Claimed, by: Attesting) -> Digest | None:
    """Not where the registry forbids it: the bundle says the same, and needs no tag to be changed."""
    payload = encode_simple(ImageRef(claim.repository, claim.digest), {REVISION: str(claim.sha)})
    annotations = by.signer.simple(payload)
    if annotations is None:
        return None
    layer = Layer(MEDIA_TYPE, payload, annotations)
    try:
        return add_layer(by.registry, claim.digest, Suffix.SIGNATURES, layer).digest
    except TagImmutable:
        return None
