"""What clean-up must spare: which releases, and every manifest and tag that belongs to them. Pure.

Whatever is not in such a list may be deleted by whoever reads it, so it is never too short: each reason to
keep a release stands by itself, and what is kept for one reason is kept however many others are given up.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum

from immutag.core.deployment import EnvironmentState
from immutag.core.facts import Claimed, Deploying, Entry
from immutag.core.frozen import frozen
from immutag.core.values import Digest, EnvironmentName, GitSha, ImageRef, Repository
from immutag.core.views import brought_up

NEVER_DEPLOYED = 10
"""So many of the newest releases of each repository are spared though nobody has deployed them yet."""


class Reason(Enum):
    """Why a release is spared."""

    RUNS = "runs"
    BEGUN = "being deployed"
    PREVIOUS = "runs until the deployment that has begun is through"
    GOOD = "came up last, and comes back if the next one does not"
    CANDIDATE = "rollback candidate"
    NEW = "never deployed yet"


@frozen()
class Wanted:
    """A release that is spared, and why; `environment` is None for one that was never deployed."""

    sha: GitSha
    image: ImageRef
    reason: Reason
    environment: EnvironmentName | None


@frozen()
class Piece:
    """A manifest that is spared, with the tags that lead to it. `kind` is for people."""

    repository: Repository
    digest: Digest
    tags: tuple[str, ...]
    kind: str


@frozen()
class Kept:
    """A release and all that belongs to it. `there`: whether all of the image is; the name of one that is
    not is spared all the same, so that a list is never empty."""

    sha: GitSha
    image: ImageRef
    reasons: tuple[Wanted, ...]
    pieces: tuple[Piece, ...]
    there: bool = True


@frozen()
class KeepList:
    """All that clean-up must spare. `checkpoints` are the ledger's, which belong to no release."""

    releases: tuple[Kept, ...]
    checkpoints: tuple[Piece, ...]

    @property
    def pieces(self) -> tuple[Piece, ...]:
        return (*(piece for each in self.releases for piece in each.pieces), *self.checkpoints)

    @property
    def tags(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(tag for piece in self.pieces for tag in piece.tags))

    @property
    def digests(self) -> tuple[Digest, ...]:
        return tuple(dict.fromkeys(piece.digest for piece in self.pieces))

    def as_document(self) -> dict[str, object]:
        """For programs: by repository what a clean-up job spares, and by release why."""
        by_repository: dict[Repository, list[Piece]] = {}
        for piece in self.pieces:
            by_repository.setdefault(piece.repository, []).append(piece)
        return {
            "repositories": [
                {
                    "repository": str(repository),
                    "tags": list(dict.fromkeys(tag for piece in pieces for tag in piece.tags)),
                    "digests": list(dict.fromkeys(str(piece.digest) for piece in pieces)),
                }
                for repository, pieces in sorted(by_repository.items())
            ],
            "releases": [_release_document(each) for each in self.releases],
            "checkpoints": [_piece_document(piece) for piece in self.checkpoints],
        }


def in_environment(
    name: EnvironmentName, state: EnvironmentState, entries: Sequence[Entry], candidates: int
) -> Iterator[Wanted]:
    """What an environment needs: what runs, what is just being deployed, and what it can go back to.

    The candidates are those of `rollback`: what came up here before, newest first, without the quarantined.
    """
    current = state.current
    if current:
        yield Wanted(current.sha, current.image, Reason.RUNS, name)
    if isinstance(begun := state.open, Deploying):
        image = ImageRef(begun.repository, begun.digest)
        yield Wanted(begun.sha, image, Reason.BEGUN, name)
        if begun.previous_sha and begun.previous_image:
            yield Wanted(begun.previous_sha, begun.previous_image, Reason.PREVIOUS, name)
    if state.good and state.good != current:
        yield Wanted(state.good.sha, state.good.image, Reason.GOOD, name)
    found = 0
    for fact, _ in brought_up(entries):
        if found == candidates:
            return
        if fact.sha in state.quarantined or (current and fact.sha == current.sha):
            continue
        found += 1
        yield Wanted(fact.sha, ImageRef(fact.repository, fact.digest), Reason.CANDIDATE, name)


def never_deployed(
    claims: Iterable[Entry], deployed: frozenset[GitSha], repositories: Sequence[Repository]
) -> Iterator[Wanted]:
    """The newest releases of each repository that never came up anywhere. `claims`: newest first.

    What is claimed and not tagged yet counts: its content is in the registry without any tag.
    """
    left = dict.fromkeys(repositories, NEVER_DEPLOYED)
    for fact in (entry.fact for entry in claims):
        if not isinstance(fact, Claimed) or fact.sha in deployed or not left.get(fact.repository):
            continue
        left[fact.repository] -= 1
        yield Wanted(fact.sha, ImageRef(fact.repository, fact.digest), Reason.NEW, None)


def by_release(wanted: Iterable[Wanted]) -> Mapping[ImageRef, tuple[Wanted, ...]]:
    """All reasons for each image, the most pressing first."""
    found: dict[ImageRef, list[Wanted]] = {}
    order = list(Reason)
    for each in sorted(wanted, key=lambda each: order.index(each.reason)):
        found.setdefault(each.image, []).append(each)
    return {image: tuple(reasons) for image, reasons in found.items()}


def _release_document(kept: Kept) -> dict[str, object]:
    return {
        "image_sha": str(kept.sha),
        "image": str(kept.image),
        "reasons": [
            {
                "reason": each.reason.value,
                "environment": str(each.environment) if each.environment else None,
            }
            for each in kept.reasons
        ],
        "there": kept.there,
        "manifests": [_piece_document(piece) for piece in kept.pieces],
    }


def _piece_document(piece: Piece) -> dict[str, object]:
    return {
        "repository": str(piece.repository),
        "digest": str(piece.digest),
        "tags": list(piece.tags),
        "kind": piece.kind,
    }
