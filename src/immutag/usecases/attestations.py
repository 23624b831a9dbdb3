"""What is attested of an image, by whomever and wherever it lies; and into the ledger, each document once.

Before: an image in a registry, whoever released it. After: its stream in the ledger names every document that
was found, of known and unknown types, and who of those that we trust signed it.
"""

import re
from collections.abc import Callable, Sequence
from enum import Enum

from immutag.core.errors import DigestMismatch, RegistryError, SoftVerifyToolError
from immutag.core.facts import Ingested, Stream
from immutag.core.frozen import frozen, replace
from immutag.core.values import Digest, ImageRef
from immutag.core.verification import Place
from immutag.core.views import Document
from immutag.ledger import Ledger
from immutag.oci.objects import Objects
from immutag.oci.referrers import listed_by_tag
from immutag.oci.registry import Registry
from immutag.trust.attached import Attached
from immutag.trust.evidence.attestation import Said, read
from immutag.trust.evidence.github import GitHub
from immutag.trust.evidence.in_index import REFERENCE, in_index
from immutag.trust.places import Places
from immutag.usecases.record import append_while


class Source(Enum):
    """Where an attestation was found."""

    API = "api"
    TAG = "tag"
    LEGACY = "legacy"
    INDEX = "index"
    GITHUB = "github"


_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")
_FALLBACK_TAG = "fallback tag"
_PLACES = {
    "referrers API": Source.API,
    _FALLBACK_TAG: Source.TAG,
    "cosign tag": Source.LEGACY,
    "cosign attestation tag": Source.LEGACY,
    "index": Source.INDEX,
    "GitHub": Source.GITHUB,
}

Judge = Callable[[Attached], str | None]
"""Who of those that we trust signed it; None where nobody of them did."""


@frozen()
class Where:
    """Where to look. `signatures` is the separate repository for them, if there is one; `github` is opened
    only when it is asked for."""

    registry: Registry
    signatures: Registry | None
    objects: Objects | None
    github: Callable[[], GitHub]


@frozen()
class Attestation:
    """Something that was found on an image. `problem`: why it cannot be read, or is not about the image."""

    source: Source
    attached: Attached
    said: Said
    problem: str | None
    verified_by: str | None

    @property
    def kind(self) -> str:
        """Its predicate type, or the type of what is no statement: a referrer says that itself."""
        is_referrer = self.source in (Source.API, Source.TAG)
        announced = self.attached.artifact_type if is_referrer else ""
        return self.said.predicate_type or announced or self.attached.layer.media_type

    @property
    def document(self) -> Digest:
        return self.attached.layer.digest

    def as_document(self) -> Document:
        attached = self.attached
        return {
            "source": self.source.value,
            "place": attached.place,
            "predicate_type": self.kind,
            "document": str(self.document),
            "media_type": attached.layer.media_type,
            "size_bytes": attached.layer.size_bytes,
            "manifest": None if self.source is Source.GITHUB else str(attached.manifest.digest),
            "subject": attached.annotations.get(REFERENCE) if self.source is Source.INDEX else None,
            "signer": self.said.signer,
            "verified_by": self.verified_by,
            "problem": self.problem,
        }


@frozen()
class Gathered:
    """An image's attestations, and what each place answered."""

    image: ImageRef
    attestations: tuple[Attestation, ...]
    places: tuple[Place, ...]

    def as_document(self) -> Document:
        """Place by place, in the order in which they were asked."""
        order = [place.name for place in self.places]
        found = sorted(self.attestations, key=lambda each: order.index(each.attached.place))
        return {
            "image": str(self.image),
            "places": [{"place": place.name, "answer": place.answer} for place in self.places],
            "attestations": [each.as_document() for each in found],
        }


def gather(image: ImageRef, source: Source | None, *, where: Where, judge: Judge) -> Gathered:
    """All that is attached to the image: from one source, or from all that its registry has.

    Raises SoftVerifyToolError if a place cannot be asked, MissingTag if the image is not there.
    """
    attached, places = _ask(image.digest, source, where)
    found = tuple(_attestation(each, image.digest, judge) for each in attached)
    if source is None:
        return Gathered(image, found, tuple(places))
    return Gathered(
        image,
        tuple(each for each in found if each.source is source),
        tuple(each for each in places if _source(each.name) is source),
    )


def ingest(gathered: Gathered, *, ledger: Ledger) -> int:
    """Append what the ledger does not know, and say how many that were. Raises LedgerConflict."""
    image = gathered.image
    stream = Stream.image(image.repository, image.digest)
    appended = 0
    for each in gathered.attestations:
        fact = Ingested(
            repository=image.repository,
            digest=image.digest,
            source=each.source.value,
            predicate_type=each.kind,
            document=each.document,
            verified_by=each.verified_by,
        )
        if not _knows(ledger, stream, fact):
            append_while(ledger, stream, fact)
            appended += 1
    return appended


def _knows(ledger: Ledger, stream: Stream, fact: Ingested) -> bool:
    """Whether the document is there; that somebody whom we trust signed it is news if it was not known."""
    known = [entry.fact for entry in ledger.stream(stream) if isinstance(entry.fact, Ingested)]
    same = [each.verified_by for each in known if each.document == fact.document]
    return bool(same) and (fact.verified_by is None or fact.verified_by in same)


def _ask(subject: Digest, source: Source | None, where: Where) -> tuple[Sequence[Attached], Sequence[Place]]:
    if source is Source.GITHUB:
        found, place = where.github().attestations(subject)
        return found, [place]
    try:
        inside, index = in_index(where.registry, subject, objects=where.objects)
        if source is Source.INDEX:
            return inside, [index]
        attached = Places(where.registry, signatures=where.signatures, objects=where.objects).attestations(
            subject
        )
        candidates = attached.candidates
        if source is Source.TAG:
            candidates = _listed_by_tag(candidates, subject, where)
    except (RegistryError, DigestMismatch) as error:
        raise SoftVerifyToolError(
            f"what is attested of the image cannot be determined: {error.message}",
            expected=error.expected,
            found=error.found,
            remedy=error.remedy,
        ) from error
    return [*candidates, *inside], [*attached.places, index]


def _listed_by_tag(candidates: Sequence[Attached], subject: Digest, where: Where) -> tuple[Attached, ...]:
    """Those that the fallback tag lists, also where the API lists them too."""
    registries = [each for each in (where.registry, where.signatures) if each]
    listed = {child.content.digest for each in registries for child in listed_by_tag(each, subject)}
    return tuple(replace(each, place=_FALLBACK_TAG) for each in candidates if each.manifest.digest in listed)


def _attestation(attached: Attached, image: Digest, judge: Judge) -> Attestation:
    said = read(attached)
    subject = _subject(attached, image)
    problem = said.problem
    if problem is None and not said.is_about(subject):
        problem = f"it is not about {subject}"
    verified_by = judge(attached) if problem is None and said.signer is not None else None
    return Attestation(_source(attached.place), attached, said, problem, verified_by)


def _subject(attached: Attached, image: Digest) -> Digest:
    """The image, or the one of its platforms that BuildKit names where it keeps the statement."""
    named = attached.annotations.get(REFERENCE, "")
    is_inside = _source(attached.place) is Source.INDEX
    return Digest(named) if is_inside and _DIGEST.fullmatch(named) else image


def _source(place: str) -> Source:
    """A place in another repository is named with it."""
    return _PLACES[place.partition(" in ")[0]]
