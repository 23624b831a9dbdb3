"""Sign a claimed digest, once: the bundle as a referrer, and cosign's legacy layer beside it (DR-018).

Before: the digest is claimed, and its content is in the registry. After: the signature is there, read back.
Killed in between: the next run finds what is there and adds what is not.
"""

from immutag.core.annotations import REVISION
from immutag.core.facts import Attested, Claimed, Fact, Signed
from immutag.core.statement import COSIGN_SIGN, Statement, Subject
from immutag.core.values import Digest, ImageRef
from immutag.oci import Descriptor
from immutag.oci.attach import Layer
from immutag.oci.fanout import map_each
from immutag.oci.legacy import add_layer
from immutag.oci.standard_tag import Suffix, TagImmutable
from immutag.trust.formats.simple_signing import MEDIA_TYPE, encode_simple
from immutag.usecases.attest import Attesting, attest_all


def sign(
    claim: Claimed, claimed_at: str, *, provenance: Statement | None, legacy: bool, by: Attesting
) -> list[Fact]:
    """The signature of the claimed digest, made or found; with it the provenance, where there is one, since
    both are attached at once. `claimed_at`: the claim's time, RFC 3339. `legacy`: cosign's old form too.

    Raises PushFailure, RegistryAuth, RegistryUnavailable, SoftVerifyToolError.
    """
    signature = Statement((Subject("", claim.digest, {REVISION: str(claim.sha)}),), COSIGN_SIGN, {})
    statements = [signature, provenance] if provenance else [signature]
    subject = Descriptor(claim.media_type, claim.digest, claim.size_bytes)
    name = by.signer.name

    def attach(old_form: bool) -> list[Digest]:
        if old_form:
            return _add_legacy(claim, by)
        return attest_all(statements, subject=subject, created=claimed_at, by=by)

    bundles, *layers = map_each(attach, (False, True) if legacy else (False,), workers=2)
    manifests = (bundles[0], *(digest for found in layers for digest in found))
    facts: list[Fact] = [Signed(claim.sha, claim.repository, claim.digest, name, manifests)]
    for statement, manifest in zip(statements[1:], bundles[1:], strict=True):
        about = (claim.sha, claim.repository, claim.digest)
        facts.append(Attested(*about, statement.predicate_type, name, manifest))
    return facts


def _add_legacy(claim: Claimed, by: Attesting) -> list[Digest]:
    """Not where the registry forbids it: the bundle says the same, and needs no tag to be changed."""
    payload = encode_simple(ImageRef(claim.repository, claim.digest), {REVISION: str(claim.sha)})
    annotations = by.signer.simple(payload)
    if annotations is None:
        return []
    layer = Layer(MEDIA_TYPE, payload, annotations)
    try:
        return [add_layer(by.registry, claim.digest, Suffix.SIGNATURES, layer).digest]
    except TagImmutable:
        return []
