"""What people look at: folds over entries, as the documents of the contracts."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from immutag.core.deployment import EnvironmentState
from immutag.core.facts import (
    Built,
    Claimed,
    Entry,
    Healthy,
    Requested,
    RolledBack,
    SignatureChecked,
    Stopped,
    Tagged,
)
from immutag.core.release import fold
from immutag.core.values import EnvironmentName, GitSha, ImageRef, ShaTag
from immutag.core.verification import Verification, signature_of

Document = dict[str, object]


def status_document(name: EnvironmentName, state: EnvironmentState, *, interrupted: bool) -> Document:
    """`status`: what runs in one environment, as recorded. `observed` is the digest last seen running."""
    current = state.current
    return {
        "environment": str(name),
        "image_sha": str(current.sha) if current else None,
        "image": str(current.image) if current else None,
        "since": current.since if current else None,
        "outcome": current.outcome.value if current else None,
        "observed": str(current.running_digest) if current and current.running_digest else None,
        "held": state.held,
        "interrupted": interrupted,
        "signature_status": current.signature_status.value if current and current.signature_status else None,
    }


def release_document(tag: ShaTag, entries: Sequence[Entry], runs_in: Sequence[EnvironmentName]) -> Document:
    """`show`: everything about one release."""
    release = fold(tag, entries)
    digest = release.claim.digest if release.claim else None
    times = {entry.fact.type: entry.time for entry in reversed(entries)}
    facts = {type(entry.fact): entry.fact for entry in entries}
    built = next(
        (e.fact for e in reversed(entries) if isinstance(e.fact, Built) and e.fact.digest == digest), None
    )
    requested, checked, tagged = facts.get(Requested), facts.get(SignatureChecked), facts.get(Tagged)
    stopped = facts.get(Stopped)
    return {
        "image_sha": str(tag.sha),
        "image": str(ImageRef(tag.repository, digest)) if digest else None,
        "tag": str(tag),
        "repository_type": requested.repository_type.value if isinstance(requested, Requested) else None,
        "branch": requested.branch if isinstance(requested, Requested) else None,
        "source": requested.source if isinstance(requested, Requested) else None,
        "released": times.get(Tagged.type),
        "claimed": times.get(Claimed.type),
        "actor": entries[0].actor,
        "builder": built.builder if isinstance(built, Built) else None,
        "platform": built.platform if isinstance(built, Built) else None,
        "signature_status": checked.status.value if isinstance(checked, SignatureChecked) else None,
        "signature_reason": checked.reason.value if isinstance(checked, SignatureChecked) else None,
        "write_once": tagged.write_once.value if isinstance(tagged, Tagged) else None,
        "stopped": stopped.code if isinstance(stopped, Stopped) and not tagged else None,
        "runs_in": [str(name) for name in runs_in],
    }


class BroughtUp(NamedTuple):
    """A deployment or rollback that came up, and when."""

    fact: Healthy | RolledBack
    time: str


def brought_up(entries: Sequence[Entry]) -> Iterator[BroughtUp]:
    """The deployments and rollbacks that came up, newest first, each SHA once."""
    seen: set[GitSha] = set()
    for entry in reversed(entries):
        if isinstance(entry.fact, Healthy | RolledBack) and entry.fact.sha not in seen:
            seen.add(entry.fact.sha)
            yield BroughtUp(entry.fact, entry.time)


def verification_document(image: ImageRef, found: Verification) -> Document:
    """`verify`: the finding, what each place answered, and which check refused what was found there."""
    status, reason, signer = signature_of(found)
    return {
        "image": str(image),
        "signature_status": status.value,
        "signature_reason": reason.value,
        "signer": signer,
        "places": [{"place": place.name, "answer": place.answer} for place in found.places],
        "candidates": [
            {
                "place": each.place,
                "digest": str(each.digest),
                "kind": each.kind,
                "refused_by": each.refused_by,
                "why": each.why,
            }
            for each in found.candidates
        ],
    }
