"""What trusted provenance says of where a release comes from, held against what the ledger says.

One digest may carry several commits, and each has its provenance: one that agrees is enough. Provenance by
nobody whom we trust says nothing, so it is passed over.
"""

from collections.abc import Callable, Sequence

from immutag.core.errors import PolicyViolation
from immutag.core.facts import Entry, Requested
from immutag.core.frozen import frozen
from immutag.core.policy import Enforcement
from immutag.core.values import Digest, ImageRef, ShaTag
from immutag.trust.attached import Attached, Kind
from immutag.trust.evidence.verify_provenance import (
    Expected,
    Refused,
    builder_of,
    check_provenance,
    is_provenance,
)
from immutag.trust.formats.bundle import parse_bundle
from immutag.trust.formats.dsse import Envelope
from immutag.trust.formats.in_toto import parse_statement
from immutag.trust.formats.malformed import Malformed
from immutag.trust.places import Places


@frozen()
class Proved:
    """A trusted provenance agrees. `manifest` holds it."""

    manifest: Digest
    builder: str

    def __str__(self) -> str:
        return f"by {self.builder}"


@frozen()
class Contradicted:
    """There is trusted provenance, and none of it agrees; the first check that refused the first of it."""

    refused: Refused

    def __str__(self) -> str:
        return f"contradicted at {self.refused}"


Origin = Proved | Contradicted | None


def expected_of(tag: ShaTag, digest: Digest, entries: Sequence[Entry], builders: Sequence[str]) -> Expected:
    """What provenance of this release has to say; `entries` are of its stream. A branch is one of a
    repository: where no repository is known, none is named."""
    asked = next((each.fact for each in entries if isinstance(each.fact, Requested)), None)
    source = asked.source if asked else None
    return Expected(
        subject=digest,
        repository=source,
        commit=tag.sha,
        branch=asked.branch if asked and source else None,
        builders=tuple(builders),
    )


def find_origin(expected: Expected, *, places: Places, trusted: Callable[[Attached], str | None]) -> Origin:
    """What the trusted provenance on the digest says. Raises SoftVerifyToolError."""
    refused: list[Refused] = []
    proved: list[Proved] = []

    def agrees(attached: Attached) -> bool:
        found = _judged(attached, expected, trusted)
        if isinstance(found, Proved):
            proved.append(found)
        elif found:
            refused.append(found)
        return bool(proved)

    places.look_until(expected.subject, agrees)
    if proved:
        return proved[0]
    return Contradicted(refused[0]) if refused else None


def ensure_origin(origin: Origin, image: ImageRef, enforcement: Enforcement) -> None:
    """Where verification is mandatory, trusted provenance of another origin stops a deployment."""
    if isinstance(origin, Contradicted) and enforcement is not Enforcement.SOFT:
        raise PolicyViolation(
            f"the provenance of {image} contradicts the ledger: {origin.refused.check}",
            expected=origin.refused.expected,
            found=origin.refused.found,
            remedy="immutag attestations, and find out who attested that; release the commit anew",
        )


def _judged(
    attached: Attached, expected: Expected, trusted: Callable[[Attached], str | None]
) -> Proved | Refused | None:
    """What one bundle says, if it is a provenance by somebody whom we trust."""
    if attached.kind is not Kind.BUNDLE or attached.content is None:
        return None
    try:
        content = parse_bundle(attached.content).content
        statement = parse_statement(content.payload) if isinstance(content, Envelope) else None
    except Malformed:
        return None
    if statement is None or not is_provenance(statement) or trusted(attached) is None:
        return None
    refused = check_provenance(statement, expected)
    return refused or Proved(attached.manifest.digest, builder_of(statement) or "")
