"""Who vouches for a digest: a finding, never an exception (DR-003)."""

from immutag.core.errors import SoftVerifyToolError
from immutag.core.facts import SignatureReason, SignatureStatus
from immutag.core.frozen import frozen
from immutag.core.values import Digest


@frozen()
class Place:
    """A place where signatures are kept, and what it answered, in words."""

    name: str
    answer: str


@frozen()
class Candidate:
    """Something that may vouch for the subject. `refused_by` is the first check that it did not pass, None
    if it passed all; `why` says it in words. `digest` is of the manifest that holds it."""

    place: str
    digest: Digest
    kind: str
    refused_by: str | None
    why: str


@frozen()
class Verified:
    """Somebody whom we trust vouches for the subject. Cannot be said without saying who."""

    subject: Digest
    signer: str
    places: tuple[Place, ...] = ()
    candidates: tuple[Candidate, ...] = ()

    def __post_init__(self) -> None:
        if not self.signer.strip():
            raise SoftVerifyToolError(
                "a verifier vouches for a digest and does not say who does",
                expected="the signer's key or identity",
                found="nothing",
                remedy="report it as a defect of immutag",
            )


@frozen()
class Unverified:
    """Nobody whom we trust vouches for the subject, and why. Every place has answered."""

    subject: Digest
    reason: SignatureReason
    places: tuple[Place, ...] = ()
    candidates: tuple[Candidate, ...] = ()

    def __post_init__(self) -> None:
        if self.reason is SignatureReason.NOT_APPLICABLE:
            raise SoftVerifyToolError(
                "a verifier does not say why a digest is unverified",
                expected="a reason",
                found=self.reason.value,
                remedy="report it as a defect of immutag",
            )


Verification = Verified | Unverified


def signature_of(verification: Verification) -> tuple[SignatureStatus, SignatureReason, str | None]:
    """The contracts' words for a finding: status, reason, signer."""
    match verification:
        case Verified(signer=signer):
            return SignatureStatus.VERIFIED, SignatureReason.NOT_APPLICABLE, signer
        case Unverified(reason=reason):
            return SignatureStatus.UNVERIFIED, reason, None
