"""Evidence on the claimed digest, between the claim and the tag: signature, provenance, SBOMs (DR-018).

Each is made so that doing it again finds what is there already. In soft mode one that fails is a fact, and
the next run tries again.
"""

from collections.abc import Callable, Sequence

from immutag.core.errors import ImmutagError
from immutag.core.facts import Claimed, Evidence, EvidenceFailed, Fact
from immutag.core.frozen import frozen
from immutag.core.report import Report


@frozen()
class Witness:
    """What is to be attached to the claimed digest, and how: `make` does it and gives the facts.

    `required`: verification is mandatory, so without its signature a release has no end.
    """

    wanted: frozenset[Evidence]
    signs: bool
    required: bool
    make: Callable[[Evidence, Claimed], Sequence[Fact]]


def attest(
    evidence: Evidence, claim: Claimed, witness: Witness, report: Report, *, told: Sequence[Fact]
) -> Sequence[Fact]:
    """Attach it, and give the facts that were not `told` before. Raises only where the signature is required;
    else the failure is the fact (law 7)."""
    report.step(f"{evidence.value} of {claim.digest}")
    try:
        made = witness.make(evidence, claim)
    except ImmutagError as error:
        if witness.required and evidence is Evidence.SIGNATURE:
            raise
        failed = f"no {evidence.value} of {claim.digest}: {error.message}: {error.found}"
        report.warning(f"{failed}; next: {error.remedy}")
        return [_failed(evidence, claim, error)]
    return [fact for fact in made if isinstance(fact, EvidenceFailed) or fact not in told]


def _failed(evidence: Evidence, claim: Claimed, error: ImmutagError) -> EvidenceFailed:
    return EvidenceFailed(
        sha=claim.sha,
        repository=claim.repository,
        digest=claim.digest,
        evidence=evidence,
        code=error.code,
        message=error.message,
        found=error.found,
    )
