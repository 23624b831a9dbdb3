"""Say where a claimed digest comes from: SLSA provenance, signed and attached (DR-018).

Before: the digest is claimed, and its content is in the registry. After: its provenance is among its
referrers. It is made from the ledger's facts, so a repeated or concurrent run says the same.
"""

from immutag.core.facts import Attested, Claimed
from immutag.core.statement import Statement
from immutag.oci import Descriptor
from immutag.usecases.attest import Attesting, attest


def prove_origin(claim: Claimed, claimed_at: str, provenance: Statement, *, by: Attesting) -> Attested:
    """The provenance of the claimed digest, made or found. `claimed_at`: the claim's time, RFC 3339.

    Raises PushFailure, RegistryAuth, RegistryUnavailable, SoftVerifyToolError.
    """
    subject = Descriptor(claim.media_type, claim.digest, claim.size_bytes)
    manifest = attest(provenance, subject=subject, created=claimed_at, by=by)
    about = (claim.sha, claim.repository, claim.digest)
    return Attested(*about, provenance.predicate_type, by.signer.name, manifest)
