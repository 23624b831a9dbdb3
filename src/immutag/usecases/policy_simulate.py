"""What a rule would have refused: the last deployments, verified once more (DR-003). Changes nothing."""

import threading
from collections.abc import Callable, Iterable, Sequence

from immutag.core.errors import SoftVerifyToolError
from immutag.core.facts import Deploying, Entry, Stream
from immutag.core.frozen import frozen
from immutag.core.values import ImageRef
from immutag.core.verification import Unverified, Verification, signature_of
from immutag.core.views import Document
from immutag.ledger import Ledger
from immutag.oci.fanout import for_each

_WORKERS = 8

Verify = Callable[[ImageRef], Verification]
"""Who vouches for the image, by the rule that is tried. Raises SoftVerifyToolError."""


@frozen()
class Replayed:
    """A deployment or rollback, and what the rule says of its image: a finding, or that there is none."""

    time: str
    work: Deploying
    finding: Verification | SoftVerifyToolError

    @property
    def refused(self) -> bool:
        return isinstance(self.finding, Unverified)

    @property
    def undetermined(self) -> bool:
        return isinstance(self.finding, SoftVerifyToolError)

    def as_document(self) -> Document:
        """`verdict`: what mandatory verification would have said."""
        work, finding = self.work, self.finding
        told: Document
        if isinstance(finding, SoftVerifyToolError):
            told = {"verdict": "undetermined", "signature_status": None, "signature_reason": "error"}
            told |= {"signer": None, "why": f"{finding.message}: {finding.found}"}
        else:
            status, reason, signer = signature_of(finding)
            told = {"verdict": "refused" if self.refused else "allowed", "signature_status": status.value}
            told |= {"signature_reason": reason.value, "signer": signer, "why": _why(finding)}
        return {
            "environment": str(work.environment),
            "time": self.time,
            "command": work.command,
            "image_sha": str(work.sha),
            "image": str(_image(work)),
            **told,
        }


def simulate(streams: Iterable[Stream], *, last: int, ledger: Ledger, verify: Verify) -> list[Replayed]:
    """The last deployments and rollbacks of each environment, newest first; each image is verified once.

    An image of which nothing can be determined does not stop the others; any other error does.
    """
    begun = [entry for stream in streams for entry in last_begun(ledger, stream, last)]
    works = [(entry.time, entry.fact) for entry in begun if isinstance(entry.fact, Deploying)]
    findings = _verify_each(dict.fromkeys(_image(work) for _, work in works), verify)
    return [Replayed(time, work, findings[_image(work)]) for time, work in works]


def last_begun(ledger: Ledger, stream: Stream, last: int) -> Sequence[Entry]:
    """The newest deployments and rollbacks that began, newest first, from as little as says them."""
    read = 4 * last
    while True:
        entries = ledger.stream(stream, last=read)
        begun = [entry for entry in reversed(entries) if isinstance(entry.fact, Deploying)]
        if len(begun) >= last or len(entries) < read:
            return begun[:last]
        read *= 4


def _verify_each(
    images: Iterable[ImageRef], verify: Verify
) -> dict[ImageRef, Verification | SoftVerifyToolError]:
    found: dict[ImageRef, Verification | SoftVerifyToolError] = {}

    def look(image: ImageRef, _: threading.Event) -> None:
        try:
            found[image] = verify(image)
        except SoftVerifyToolError as error:
            found[image] = error

    for_each(look, list(images), workers=_WORKERS)
    return found


def _image(work: Deploying) -> ImageRef:
    return ImageRef(work.repository, work.digest)


def _why(finding: Verification) -> str | None:
    """What the first candidate that was refused says of itself, or else the places."""
    if not isinstance(finding, Unverified):
        return None
    refused = next((each for each in finding.candidates if each.refused_by), None)
    if refused:
        return f"{refused.kind} in {refused.place}: {refused.why}"
    return "; ".join(f"{place.name}: {place.answer}" for place in finding.places) or None
