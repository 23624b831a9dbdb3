"""Who vouches for an image: what lies in its places, judged and combined (DR-018)."""

from collections.abc import Sequence

from immutag.core.errors import SoftVerifyToolError
from immutag.core.facts import SignatureReason
from immutag.core.values import Digest
from immutag.core.verification import Candidate, Unverified, Verification, Verified
from immutag.oci.objects import Objects
from immutag.oci.registry import Registry
from immutag.trust.attached import Attached
from immutag.trust.checks import Case, judge
from immutag.trust.judgement import Accepted, Refused
from immutag.trust.places import Found, Places
from immutag.trust.root import RootOfTrust
from immutag.trust.rule import TrustRule

_GRAVEST_FIRST = (
    SignatureReason.INVALID,
    SignatureReason.IDENTITY_MISMATCH,
    SignatureReason.KEY_NOT_FOUND,
)

Verdict = Accepted | Refused


class Verifier:
    """Verifies a repository's images by one rule, for all threads.

    `signatures` is a separate repository for signatures; `objects` keeps what cannot change.
    """

    def __init__(
        self,
        registry: Registry,
        rule: TrustRule,
        *,
        root: RootOfTrust,
        signatures: Registry | None = None,
        objects: Objects | None = None,
    ) -> None:
        self._repository = registry.repository
        self._places = Places(registry, signatures=signatures, objects=objects)
        self._rule = rule
        self._root = root

    def verify(self, subject: Digest) -> Verification:
        """Who vouches for the digest; no further once one does. Raises SoftVerifyToolError."""
        verdicts = Verdicts(self._case(subject))
        return combine(subject, self._places.look_until(subject, verdicts.accepts), verdicts)

    def explain(self, subject: Digest) -> Verification:
        """The same, with every place asked and every candidate judged. Raises SoftVerifyToolError."""
        verdicts = Verdicts(self._case(subject))
        found = self._places.look(subject)
        for attached in found.candidates:
            verdicts.accepts(attached)
        return combine(subject, found, verdicts)

    def _case(self, subject: Digest) -> Case:
        return Case(subject, self._repository, self._rule, self._root.authorities)


class Verdicts:
    """What was judged, in its order."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self.all: list[tuple[Attached, Verdict]] = []

    def accepts(self, attached: Attached) -> bool:
        """Judge one more candidate, and whether somebody vouches by it."""
        try:
            verdict: Verdict = judge(attached, self._case)
        except Refused as refused:
            verdict = refused
        self.all.append((attached, verdict))
        return isinstance(verdict, Accepted)


def combine(subject: Digest, found: Found, verdicts: Verdicts) -> Verification:
    """One accepted candidate is enough. Without one the gravest refusal is the reason, and `missing` only
    where every place has answered."""
    candidates = tuple(_candidate(attached, verdict) for attached, verdict in verdicts.all)
    for _, verdict in verdicts.all:
        if isinstance(verdict, Accepted):
            return Verified(subject, verdict.signer, found.places, candidates)
    if not found.complete:
        raise SoftVerifyToolError(
            "whether the image is signed cannot be determined: not every place was asked",
            expected="an answer of every place",
            found=", ".join(place.answer for place in found.places),
            remedy="report it as a defect of immutag",
        )
    return Unverified(subject, _reason([verdict for _, verdict in verdicts.all]), found.places, candidates)


def _reason(verdicts: Sequence[Verdict]) -> SignatureReason:
    reasons = {verdict.reason for verdict in verdicts if isinstance(verdict, Refused)}
    return next((reason for reason in _GRAVEST_FIRST if reason in reasons), SignatureReason.MISSING)


def _candidate(attached: Attached, verdict: Verdict) -> Candidate:
    place, digest, kind = attached.place, attached.manifest.digest, attached.kind.value
    match verdict:
        case Accepted(signer=signer):
            return Candidate(place, digest, kind, None, f"signed by {signer}")
        case Refused(check=check, why=why):
            return Candidate(place, digest, kind, check.value, why)
