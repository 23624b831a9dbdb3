"""Say where a claimed digest comes from: SLSA provenance, signed and attached (DR-018).

Before: the digest is claimed, and its content is in the registry. After: its provenance is among its
referrers. It is made from the ledger's facts, so a repeated or concurrent run says the same.
"""

from collections.abc import Sequence

from immutag.core.facts import Attested, Claimed, Entry
from immutag.core.provenance import BaseImage, Recipe, Run, provenance
from immutag.core.statement import SLSA_PROVENANCE
from immutag.oci import Descriptor
from immutag.usecases.attest import Attesting, attest


def prove_origin(
    claim: Claimed,
    entries: Sequence[Entry],
    *,
    recipe: Recipe,
    bases: Sequence[BaseImage],
    run: Run,
    by: Attesting,
) -> Attested:
    """The provenance of the claimed digest, made or found; `entries` are of the release's stream.

    Raises LedgerConflict, PushFailure, RegistryAuth, RegistryUnavailable, SoftVerifyToolError.
    """
    statement = provenance(entries, recipe=recipe, bases=bases, run=run)
    claimed_at = next(each.time for each in entries if isinstance(each.fact, Claimed))
    subject = Descriptor(claim.media_type, claim.digest, claim.size_bytes)
    manifest = attest(statement, subject=subject, created=claimed_at, by=by)
    return Attested(claim.sha, claim.repository, claim.digest, SLSA_PROVENANCE, by.signer.name, manifest)
