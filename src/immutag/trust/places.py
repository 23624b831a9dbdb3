"""The places where signatures and attestations of an image lie (DR-003, DR-018).

cosign's tag `sha256-<hex>.sig` (`.att` for attestations); the referrers API; and the tag `sha256-<hex>` that
stands in for it, looked at even when the API answers, since a signature may be older than the registry's
API. A separate repository for signatures has the same three. Nothing of what lies there is verified here,
and nothing is left out because of what is said about it.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from immutag.core.errors import DigestMismatch, MissingTag, RegistryError, SoftVerifyToolError
from immutag.core.frozen import frozen
from immutag.core.statement import COSIGN_SIGN, SLSA_PROVENANCE, SLSA_PROVENANCE_V02
from immutag.core.values import Digest, Repository
from immutag.core.verification import Place
from immutag.oci.fanout import map_each
from immutag.oci.manifest import Child
from immutag.oci.objects import Objects
from immutag.oci.referrers import Referrer, legacy_manifest, listed_by_api, listed_by_tag, read
from immutag.oci.registry import Registry
from immutag.oci.standard_tag import Suffix
from immutag.trust.attached import (
    BUNDLE,
    CONTENT_LIMIT_BYTES,
    SIGNATURES,
    Attached,
    Kind,
    in_referrer,
    in_tag,
    with_content,
)

_ALL_LIMIT_BYTES = 256 * 1024 * 1024
_LAYERS_LIMIT = 16_384
_PATIENCE_S = 600.0
_WORKERS = 8
_GROWTH = 4
_EMPTY = "application/vnd.oci.empty.v1+json"  # what cosign 2 lists its bundles as
_PREDICATE = "dev.sigstore.bundle.predicateType"
_VOUCHING = (COSIGN_SIGN, SLSA_PROVENANCE, SLSA_PROVENANCE_V02)
_NAMED = 5


@frozen()
class Found:
    """What lies in the places, each manifest once. `complete`: every place answered, and all was read."""

    candidates: tuple[Attached, ...]
    places: tuple[Place, ...]
    complete: bool = True


def look(
    registry: Registry, subject: Digest, *, signatures: Registry | None = None, objects: Objects | None = None
) -> Found:
    """All that may be a signature of the image: see `Places.look`."""
    return Places(registry, signatures=signatures, objects=objects).look(subject)


def attestations(
    registry: Registry, subject: Digest, *, signatures: Registry | None = None, objects: Objects | None = None
) -> Found:
    """All that is attached to the image: see `Places.attestations`."""
    return Places(registry, signatures=signatures, objects=objects).attestations(subject)


class Places:
    """Where to look for what belongs to a repository's images, for all threads.

    `signatures` is a separate repository for it, looked at as well. What cannot be asked is
    SoftVerifyToolError, never an empty answer. Tags and lists are asked for each time; what is named by its
    digest comes from `objects` where it is there.
    """

    def __init__(
        self, registry: Registry, *, signatures: Registry | None = None, objects: Objects | None = None
    ) -> None:
        separate = signatures is not None and signatures.repository != registry.repository
        self._registries = [registry, signatures] if signatures and separate else [registry]
        self._objects = objects
        self._fruitful: str | None = None

    def look(self, subject: Digest) -> Found:
        """All that may be a signature of the image, read: bundles whatever they are said to hold, and
        cosign's legacy layers. The places are asked at the same time. Raises SoftVerifyToolError."""
        return self._all(subject, _SIGNATURE_PLACES, lambda each: each.kind in SIGNATURES)

    def attestations(self, subject: Digest) -> Found:
        """All that is attached to the image and all behind cosign's tags, of whatever kind, read.

        Raises SoftVerifyToolError.
        """
        return self._all(subject, (*_SIGNATURE_PLACES, _ATTESTATION_TAG), lambda _: True)

    def look_until(self, subject: Digest, enough: Callable[[Attached], bool]) -> Found:
        """As `look`, but place by place, the likeliest candidates first, and no further once `enough` of one.

        What is not `complete` says nothing about what else is there. Raises SoftVerifyToolError.
        """
        places = self._of(_LIKELIEST_FIRST)
        places.sort(key=lambda place: place.name != self._fruitful)
        search = _Search(subject, self._objects, lambda each: each.kind in SIGNATURES)
        with _undetermined():
            for place in places:
                for attached in search.through([place], first=1):
                    if enough(attached):
                        self._fruitful = place.name
                        return search.found(places, complete=False)
        return search.found(places, complete=True)

    def _all(self, subject: Digest, kinds: "Sequence[_Kind]", wanted: Callable[[Attached], bool]) -> Found:
        places = self._of(kinds)
        search = _Search(subject, self._objects, wanted)
        with _undetermined():
            for _ in search.through(places, first=_LAYERS_LIMIT):
                pass
        return search.found(places, complete=True)

    def _of(self, kinds: "Sequence[_Kind]") -> "list[_Place]":
        own, *separate = self._registries
        places = [_Place(kind.name, own, kind) for kind in kinds]
        return places + [
            _Place(f"{kind.name} in {each.repository}", each, kind) for each in separate for kind in kinds
        ]


@frozen()
class _Tag:
    """One of cosign's tags."""

    name: str
    suffix: Suffix
    holds: Kind


@frozen()
class _List:
    """One of the two lists of referrers."""

    name: str
    listed: Callable[[Registry, Digest], tuple[Child, ...] | None]


_Kind = _Tag | _List
_COSIGN_TAG = _Tag("cosign tag", Suffix.SIGNATURES, Kind.LEGACY)
_ATTESTATION_TAG = _Tag("cosign attestation tag", Suffix.ATTESTATIONS, Kind.ENVELOPE)
_API = _List("referrers API", listed_by_api)
_FALLBACK = _List("fallback tag", listed_by_tag)
_SIGNATURE_PLACES: tuple[_Kind, ...] = (_COSIGN_TAG, _API, _FALLBACK)
_LIKELIEST_FIRST: tuple[_Kind, ...] = (_API, _FALLBACK, _COSIGN_TAG)


@frozen()
class _Place:
    """A place in one repository; the image's own repository needs no naming."""

    name: str
    registry: Registry
    kind: _Kind


@frozen()
class _Asked:
    """What a place answered: nothing of that kind, or what it lists and what it holds itself."""

    absent: bool
    listed: tuple[Child, ...] = ()
    held: tuple[Attached, ...] = ()


class _Search:
    """One image's search: what was listed and what was read so far."""

    def __init__(self, subject: Digest, objects: Objects | None, wanted: Callable[[Attached], bool]) -> None:
        self._subject = subject
        self._objects = objects
        self._wanted = wanted
        self._asked: dict[str, _Asked] = {}
        self._referrers: dict[tuple[Repository, Digest], Referrer | None] = {}
        self._found: list[Attached] = []
        self._bytes = 0
        self._deadline = time.monotonic() + _PATIENCE_S

    def through(self, places: Sequence[_Place], *, first: int) -> Iterator[Attached]:
        """All that is wanted in these places, with its content: `first` referrers at once, then more."""
        asked = map_each(self._ask, places, workers=len(places))
        self._asked.update({place.name: each for place, each in zip(places, asked, strict=True)})
        for place, each in zip(places, asked, strict=True):
            yield from self._read([(place, attached) for attached in each.held])
        unread = self._unread(places)
        while unread:
            batch, unread = unread[:first], unread[first:]
            yield from self._read(self._layers(batch))
            first *= _GROWTH

    def found(self, places: Sequence[_Place], *, complete: bool) -> Found:
        """Everything so far, and each place's answer in words."""
        answers = tuple(Place(place.name, self._answer(place)) for place in places)
        return Found(tuple(self._found), answers, complete)

    def _ask(self, place: _Place) -> _Asked:
        if isinstance(place.kind, _List):
            listed = place.kind.listed(place.registry, self._subject)
            return _Asked(listed is None, listed or ())
        found = legacy_manifest(place.registry, self._subject, place.kind.suffix)
        held = in_tag(place.name, *found, place.kind.holds) if found else ()
        return _Asked(found is None, (), tuple(held))

    def _unread(self, places: Sequence[_Place]) -> list[tuple[_Place, Child]]:
        """What the places list, each once in a repository, the likeliest to vouch first."""
        listed = {
            (place.registry.repository, child.content.digest): (place, child)
            for place in reversed(places)
            for child in self._asked[place.name].listed
        }
        left = [listed[key] for key in listed if key not in self._referrers]
        return sorted(left, key=lambda each: _rank(each[1]))

    def _layers(self, batch: Sequence[tuple[_Place, Child]]) -> list[tuple[_Place, Attached]]:
        found: list[tuple[_Place, Attached]] = []
        for registry in {id(place.registry): place.registry for place, _ in batch}.values():
            places = {child.content.digest: place for place, child in batch if place.registry is registry}
            children = [child for place, child in batch if place.registry is registry]
            for digest, referrer in read(registry, self._subject, children, objects=self._objects).items():
                self._referrers[registry.repository, digest] = referrer
                if referrer:
                    place = places[digest]
                    found += [(place, each) for each in in_referrer(place.name, referrer)]
        return found

    def _read(self, layers: Sequence[tuple[_Place, Attached]]) -> list[Attached]:
        """Those that are wanted, with their content; as much as is bearable, or none of it counts."""
        wanted = [(place, each) for place, each in layers if self._wanted(each)]
        self._bytes += sum(
            each.layer.size_bytes for _, each in wanted if each.layer.size_bytes <= CONTENT_LIMIT_BYTES
        )
        if self._bytes > _ALL_LIMIT_BYTES or len(self._found) + len(wanted) > _LAYERS_LIMIT:
            raise _too_much()

        def content(each: tuple[_Place, Attached]) -> Attached:
            if time.monotonic() > self._deadline:
                raise _too_much()
            return with_content(each[1], each[0].registry, self._objects)

        read = map_each(content, wanted, workers=_WORKERS)
        self._found += read
        return read

    def _answer(self, place: _Place) -> str:
        asked = self._asked.get(place.name)
        if asked is None:
            return "not asked: what was found before is enough"
        if isinstance(place.kind, _Tag):
            return (
                "no such tag" if asked.absent else self._named({each.manifest.digest for each in asked.held})
            )
        if asked.absent:
            return "the registry has no such API"
        return self._listing(place.registry.repository, asked.listed)

    def _listing(self, repository: Repository, listed: Sequence[Child]) -> str:
        digests = {child.content.digest for child in listed}
        seen = [
            self._referrers[repository, each] for each in digests if (repository, each) in self._referrers
        ]
        referrers = [each for each in seen if each is not None]
        named = self._named(digests)
        if not named:
            named = f"{len(referrers)} referrers, no signature among them" if referrers else "no referrers"
        notes = [f"{len(seen) - len(referrers)} listed that are none of this image"] if None in seen else []
        notes += [f"{len(digests) - len(seen)} not read"] if len(seen) < len(digests) else []
        return "; ".join([named, *notes])

    def _named(self, digests: set[Digest]) -> str:
        """Which of what was found lies behind these manifests."""
        found = {each.manifest.digest: each.kind for each in self._found if each.manifest.digest in digests}
        named = [f"{kind.value} {digest}" for digest, kind in found.items()]
        more = [f"and {len(named) - _NAMED} more"] if len(named) > _NAMED else []
        return ", ".join([*named[:_NAMED], *more])


def _rank(child: Child) -> int:
    """How likely it vouches, as far as the list says; nothing is left out for it."""
    predicate = child.annotations.get(_PREDICATE)
    if predicate is not None:
        return _VOUCHING.index(predicate) if predicate in _VOUCHING else len(_VOUCHING) + 1
    kind = child.artifact_type or _EMPTY
    return len(_VOUCHING) if kind.startswith((BUNDLE, _EMPTY)) else len(_VOUCHING) + 2


@contextmanager
def _undetermined() -> Iterator[None]:
    """A place that cannot be asked is no answer."""
    try:
        yield
    except (RegistryError, DigestMismatch, MissingTag) as error:
        raise SoftVerifyToolError(
            f"whether the image is signed cannot be determined: {error.message}",
            expected=error.expected,
            found=error.found,
            remedy=error.remedy,
        ) from error


def _too_much() -> SoftVerifyToolError:
    return SoftVerifyToolError(
        "more is attached to the image than is looked at",
        expected=f"at most {_LAYERS_LIMIT} layers and {_ALL_LIMIT_BYTES} bytes, read in {_PATIENCE_S:.0f} s",
        found="more",
        remedy="remove what nobody needs: regctl artifact list, regctl manifest delete",
    )
