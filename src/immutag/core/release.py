"""A release as a state machine: the one next step, from what is recorded and what is seen (DR-011).

The write order is content → claim → evidence (signatures, SBOM, provenance) → tag. `decide` is pure; the
loop that looks, acts and appends is `usecases/release.py`. Every row of it is tested, and a model runs all
interleavings over it.
"""

from collections.abc import Sequence
from enum import Enum, auto

from immutag.core.errors import DigestMismatch, LedgerConflict
from immutag.core.facts import (
    Adopted,
    Attested,
    Built,
    Claimed,
    Described,
    Entry,
    Evidence,
    Fact,
    Pushed,
    Requested,
    SignatureChecked,
    Signed,
    Tagged,
)
from immutag.core.frozen import frozen, replace
from immutag.core.statement import CYCLONEDX, SLSA_PROVENANCE, SPDX
from immutag.core.values import Digest, ShaTag


class Step(Enum):
    """What a release does next."""

    REQUEST = auto()
    BUILD = auto()
    PUSH = auto()
    CLAIM = auto()
    ATTEST = auto()
    CHECK_SIGNATURE = auto()
    TAG = auto()
    TAG_SHORT = auto()
    DONE = auto()


@frozen()
class Release:
    """What the ledger says about a SHA in a repository, at `version` of its stream.

    `described`, `attested`: the SBOMs, and the predicate types of the statements, on the claimed digest.
    """

    tag: ShaTag
    version: int = 0
    requested: bool = False
    built: frozenset[Digest] = frozenset()
    pushed: frozenset[Digest] = frozenset()
    adopted: bool = False
    claim: Claimed | None = None
    signed: bool = False
    described: frozenset[Evidence] = frozenset()
    attested: frozenset[str] = frozenset()
    checked: bool = False
    tagged: Tagged | None = None


@frozen()
class Seen:
    """What the world says. `layout` is the root of the layout folder that we hold ourselves.

    `given`: the layout is the user's (`--from`), so it may not be dropped for another's.
    `content`: the claimed manifest is in the registry. `short`: the short tag, where one is wanted.
    `owed`: evidence that is wanted, not recorded, and not tried by this run yet.
    """

    tag: Digest | None = None
    layout: Digest | None = None
    given: bool = False
    content: bool = False
    owed: frozenset[Evidence] = frozenset()
    short_wanted: bool = False
    short: Digest | None = None


def fold(tag: ShaTag, entries: Sequence[Entry]) -> Release:
    """The release that these entries of its stream tell of."""
    release = Release(tag)
    for entry in entries:
        release = _apply(replace(release, version=entry.version), entry)
    return release


def _apply(release: Release, entry: Entry) -> Release:
    match entry.fact:
        case Requested():
            return replace(release, requested=True)
        case Built(digest=digest):
            return replace(release, built=release.built | {digest})
        case Pushed(digest=digest):
            return replace(release, pushed=release.pushed | {digest})
        case Adopted():
            return replace(release, adopted=True)
        case Claimed() as claim if release.claim is None:
            return replace(release, claim=claim)
        case Tagged() as tagged:
            return replace(release, tagged=tagged)
        case (Signed() | Described() | Attested() | SignatureChecked()) as fact if (
            release.claim and fact.digest == release.claim.digest
        ):
            return _with_evidence(release, fact)
        case _:
            return release


def _with_evidence(release: Release, fact: Fact) -> Release:
    """What was attached to the claimed digest; a new signature has not been checked yet."""
    match fact:
        case Signed():
            return replace(release, signed=True, checked=False)
        case Described(evidence=evidence):
            return replace(release, described=release.described | {evidence})
        case Attested(predicate_type=predicate_type):
            return replace(release, attested=release.attested | {predicate_type})
        case _:
            return replace(release, checked=True)


_PREDICATES = {
    Evidence.PROVENANCE: SLSA_PROVENANCE,
    Evidence.CYCLONEDX: CYCLONEDX,
    Evidence.SPDX: SPDX,
}


def owed(release: Release, wanted: frozenset[Evidence], *, signs: bool) -> frozenset[Evidence]:
    """The wanted evidence that the ledger does not have. Without a signer an SBOM is attached unsigned, and
    there is neither signature nor provenance."""
    return frozenset(each for each in wanted if not _is_there(release, each, signs=signs))


def _is_there(release: Release, evidence: Evidence, *, signs: bool) -> bool:
    if evidence is Evidence.SIGNATURE:
        return release.signed or not signs
    is_attested = _PREDICATES[evidence] in release.attested or not signs
    return is_attested and (evidence is Evidence.PROVENANCE or evidence in release.described)


def decide(release: Release, seen: Seen) -> Step:
    """The one next step: content before the claim, the claim before the tag, and a fact for each.

    Raises DigestMismatch or LedgerConflict. A refusal stands only if the stream is still at
    `release.version`, since ledger and registry cannot be read at one instant.
    """
    if not release.requested:
        return Step.REQUEST
    if release.claim is None:
        return _before_the_claim(release, seen)
    return _after_the_claim(release, seen, release.claim.digest)


def _before_the_claim(release: Release, seen: Seen) -> Step:
    if seen.tag is not None:
        raise DigestMismatch(
            "the SHA tag is there, but nobody claimed it",
            expected=f"no tag {release.tag}, or a claim in the ledger",
            found=str(seen.tag),
            remedy=f"immutag adopt {release.tag.sha}, if it is what it should be; it is never overwritten",
        )
    if seen.layout is None or seen.layout not in release.built:
        return Step.BUILD  # a finished layout is found again there, not built again
    if seen.layout not in release.pushed:
        return Step.PUSH
    return Step.CLAIM


def _after_the_claim(release: Release, seen: Seen, claimed: Digest) -> Step:
    if seen.tag not in (None, claimed):
        raise DigestMismatch(
            "the SHA tag holds other content than was claimed",
            expected=str(claimed),
            found=str(seen.tag),
            remedy=f"immutag show {release.tag.sha}, and find out who moved the tag; it is never overwritten",
        )
    if seen.given and seen.layout is None:
        return Step.BUILD  # what the user gives is looked at, also when the release is finished
    if seen.given and seen.layout != claimed:
        raise DigestMismatch(
            "the given image is not the one that was claimed for this SHA",
            expected=str(claimed),
            found=str(seen.layout),
            remedy=f"immutag show {release.tag.sha}",
        )
    if seen.tag is None and not seen.content:
        return _bring_back_the_content(release, seen, claimed)
    if seen.owed:
        return Step.ATTEST
    if not release.checked:
        return Step.CHECK_SIGNATURE
    if seen.tag is None or release.tagged is None:
        return Step.TAG
    return _short_tag(seen, claimed)


def _bring_back_the_content(release: Release, seen: Seen, claimed: Digest) -> Step:
    """The registry lost the claimed content before it was tagged: only the same bytes will do."""
    if seen.layout is None:
        return Step.BUILD
    if seen.layout == claimed:
        return Step.PUSH
    raise LedgerConflict(
        "the claimed content is gone from the registry, and this build gave other bytes",
        expected=str(claimed),
        found=str(seen.layout),
        remedy=f"immutag release --sha {release.tag.sha} --from the image with that digest",
    )


def _short_tag(seen: Seen, claimed: Digest) -> Step:
    if not seen.short_wanted or seen.short == claimed:
        return Step.DONE
    if seen.short is None:
        return Step.TAG_SHORT
    raise DigestMismatch(
        "the short tag holds other content than the full tag (DR-008)",
        expected=str(claimed),
        found=str(seen.short),
        remedy="set [image] short_tag = false: two commits share these 12 characters",
    )
