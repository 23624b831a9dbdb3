"""What clean-up must spare, from the ledger, and from the registry what belongs to it. Changes nothing.

A clean-up job deletes what is not in the answer, so there is no half of one: what cannot be asked stops it, a
running image that is gone stops it, and so does a ledger that knows nothing.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

from immutag.core.checkpoint import origin_of
from immutag.core.deployment import fold
from immutag.core.errors import ConfigInvalid, MissingTag, RegistryUnavailable
from immutag.core.facts import Anchored, Claimed, Entry, Stream, Tagged
from immutag.core.policy import Repositories
from immutag.core.report import Report
from immutag.core.retention import (
    KeepList,
    Kept,
    Piece,
    Reason,
    Wanted,
    by_release,
    in_environment,
    never_deployed,
)
from immutag.core.values import Digest, EnvironmentName, GitSha, ImageRef, Repository
from immutag.core.views import brought_up
from immutag.ledger import Ledger
from immutag.oci.content import read
from immutag.oci.fanout import map_each
from immutag.oci.graph import walk
from immutag.oci.objects import Objects
from immutag.oci.referrers import listed_by_api, listed_by_tag
from immutag.oci.referrers import read as read_referrers
from immutag.oci.registry import Registry
from immutag.oci.standard_tag import StandardTag, Suffix
from immutag.usecases.checkpoints import page_of

_WORKERS = 4
_DEPTH = 4
_PAGES = 2
_PIECES = 16_384
_URGENT = frozenset({Reason.RUNS, Reason.BEGUN, Reason.PREVIOUS})


def keep(
    environments: Sequence[EnvironmentName],
    *,
    candidates: int,
    repositories: Repositories,
    signatures: Repository | None,
    ledger: Ledger,
    registry: Callable[[Repository], Registry],
    objects: Objects | None,
    report: Report,
) -> KeepList:
    """What to spare for these environments, or for all that the ledger knows, in whichever repository.

    Raises RegistryUnavailable, RegistryAuth, DigestMismatch; MissingTag if what runs is gone from its
    registry, or if there is nothing to spare.
    """
    streams = _environments(ledger, repositories.canonical, environments)
    wanted = by_release(_wanted(ledger, streams, repositories, candidates))
    if not wanted:
        raise _nothing()
    gather = Gather(registry, signatures, objects)

    def look(image: ImageRef) -> Kept:
        report.step(f"look at what belongs to {image}")
        return _kept(image, wanted[image], gather, ledger)

    releases = map_each(look, wanted, workers=_WORKERS)
    place = signatures or repositories.canonical
    return KeepList(tuple(releases), _checkpoints(ledger, repositories.canonical, place, gather))


def require_shared(ledger: Ledger, *, accepted: bool) -> None:
    """Raises ConfigInvalid where a job of CI has a ledger of its own: it knows of none of the others'."""
    if not ledger.shared and not accepted:
        raise ConfigInvalid(
            "in CI a ledger that nobody else sees cannot say what others run",
            expected="a ledger that every job sees",
            found="CI is set, and the ledger is a file of this machine",
            remedy="set [ledger] url to the shared ledger; or accept_unshared = true, if it is complete",
        )


class Gather:
    """What belongs to a manifest: its platforms, what refers to it, and the standards' tags."""

    def __init__(
        self,
        registry: Callable[[Repository], Registry],
        signatures: Repository | None,
        objects: Objects | None,
    ) -> None:
        self._registry = registry
        self._signatures = signatures
        self._objects = objects

    def image(self, image: ImageRef, tags: tuple[str, ...]) -> list[Piece] | None:
        """All of an image; `None` if the registry says that it, or a platform of it, is gone."""
        registry = self._registry(image.repository)
        root = registry.manifest_named(image.digest)
        if root is None:
            return None
        try:
            graph = walk(root[0], lambda content: read(registry, content))
        except MissingTag:
            return None
        found = [Piece(image.repository, image.digest, tags, "image")]
        found += [
            Piece(image.repository, each.digest, (), "platform")
            for each in reversed(graph.manifests)
            if each.digest != image.digest
        ]
        for each in [piece.digest for piece in found]:
            found += self.attached(image.repository, each)
        return _each_once(found)

    def attached(self, repository: Repository, subject: Digest) -> list[Piece]:
        """What refers to a manifest, there and in the repository for signatures, and what refers to that."""
        places = dict.fromkeys(each for each in (repository, self._signatures) if each)
        found: dict[tuple[Repository, Digest], Piece] = {}
        todo = [(place, subject, 1) for place in places]
        asked: set[tuple[Repository, Digest]] = set()
        while todo:
            place, digest, depth = todo.pop()
            if (place, digest) in asked or depth > _DEPTH:
                continue
            asked.add((place, digest))
            for piece in self._directly(self._registry(place), digest):
                found.setdefault((piece.repository, piece.digest), piece)
                if len(found) > _PIECES:
                    raise _too_many(subject)
                todo += [(each, piece.digest, depth + 1) for each in places]
        return list(found.values())

    def _directly(self, registry: Registry, subject: Digest) -> list[Piece]:
        found = []
        listed = [*(listed_by_api(registry, subject) or ())]
        for suffix in Suffix:
            tag = StandardTag(subject, suffix)
            behind = registry.standard_manifest(tag)
            # one registry answers with the subject itself, which is no tag of it
            if behind is None or behind.content.digest == subject:
                continue
            found.append(Piece(registry.repository, behind.content.digest, (str(tag),), "standard tag"))
            if suffix is Suffix.REFERRERS:
                listed += listed_by_tag(registry, subject)
        referrers = read_referrers(registry, subject, listed, objects=self._objects)
        for digest, referrer in referrers.items():
            if referrer:
                found.append(
                    Piece(
                        registry.repository, digest, (), referrer.artifact_type or "application/octet-stream"
                    )
                )
        return found


def _environments(
    ledger: Ledger, canonical: Repository, wanted: Sequence[EnvironmentName]
) -> Mapping[EnvironmentName, Stream]:
    """The streams of these environments; of all that were ever deployed to, where none is named: what is no
    longer in the configuration may well run."""
    if wanted:
        return {name: Stream.environment(canonical, name) for name in wanted}
    prefix = f"environment:{canonical}:"
    return {EnvironmentName(stream.name.removeprefix(prefix)): stream for stream in ledger.streams(prefix)}


def _wanted(
    ledger: Ledger,
    streams: Mapping[EnvironmentName, Stream],
    repositories: Repositories,
    candidates: int,
) -> Iterable[Wanted]:
    found: list[Wanted] = []
    for name, stream in streams.items():
        entries = ledger.stream(stream)
        found += in_environment(name, fold(entries), entries, candidates)
    deployed: set[GitSha] = set()
    for stream in _environments(ledger, repositories.canonical, ()).values():
        deployed |= {each.fact.sha for each in brought_up(ledger.stream(stream))}
    known = (repositories.canonical, repositories.staging)
    return [*found, *never_deployed(ledger.recent(kind=Claimed), frozenset(deployed), known)]


def _kept(image: ImageRef, reasons: tuple[Wanted, ...], gather: Gather, ledger: Ledger) -> Kept:
    sha = reasons[0].sha
    tags = _tags(sha, ledger.stream(Stream.release(image.repository, sha)))
    pieces = gather.image(image, tags)
    if pieces is None and reasons[0].reason in _URGENT:
        raise MissingTag(
            f"what {reasons[0].environment} runs is gone from the registry, or some of it",
            expected=str(image),
            found="404",
            remedy="clean nothing up; push the image again as it was, or check that the credentials may read",
        )
    named = Piece(image.repository, image.digest, tags, "image")
    return Kept(sha, image, reasons, tuple(pieces or (named,)), there=pieces is not None)


def _tags(sha: GitSha, entries: Sequence[Entry]) -> tuple[str, ...]:
    """The full SHA, and the short tag where the release has one (DR-008)."""
    short = any(isinstance(entry.fact, Tagged) and entry.fact.short_tag for entry in entries)
    return (str(sha), str(sha.short)) if short else (str(sha),)


def _checkpoints(
    ledger: Ledger, canonical: Repository, place: Repository, gather: Gather
) -> tuple[Piece, ...]:
    """The newest pages of checkpoints of the ledger, which vouch for what it tells (DR-017)."""
    origin = origin_of(canonical)
    pages: dict[Digest, Piece] = {}
    for fact in (entry.fact for entry in ledger.recent(kind=Anchored)):
        if isinstance(fact, Anchored) and fact.repository == canonical and len(pages) < _PAGES:
            digest = page_of(origin, fact.size)[0].digest
            pages.setdefault(digest, Piece(place, digest, (), "page of checkpoints"))
    found = list(pages.values())
    for digest in pages:
        found += gather.attached(place, digest)
    return tuple(_each_once(found))


def _each_once(pieces: Iterable[Piece]) -> list[Piece]:
    """Each manifest once, with all its tags."""
    found: dict[tuple[Repository, Digest], Piece] = {}
    for piece in pieces:
        known = found.get((piece.repository, piece.digest))
        tags = tuple(dict.fromkeys((*(known.tags if known else ()), *piece.tags)))
        kind = known.kind if known else piece.kind
        found[piece.repository, piece.digest] = Piece(piece.repository, piece.digest, tags, kind)
    return list(found.values())


def _too_many(subject: Digest) -> RegistryUnavailable:
    return RegistryUnavailable(
        "more belongs to an image than is looked at",
        expected=f"at most {_PIECES} manifests, attached to it and to these",
        found=f"more, of {subject}",
        remedy="remove those that nobody needs: regctl artifact list, regctl manifest delete",
    )


def _nothing() -> MissingTag:
    return MissingTag(
        "there is nothing to spare, and clean-up would delete everything",
        expected="a release or a deployment in the ledger",
        found="none",
        remedy="check that [ledger] url names the ledger that everybody writes to; immutag adopt --all",
    )
