"""The three places where signatures of an image lie (DR-003).

cosign's tag `sha256-<hex>.sig`; the referrers API; and the tag `sha256-<hex>` that stands in for it, looked
at even when the API answers, since a signature may be older than the registry's API. What lies there is a
candidate: nothing of it is verified here.
"""

import threading
from collections.abc import Callable

from immutag.core.errors import DigestMismatch, MissingTag, RegistryError, SoftVerifyToolError
from immutag.core.frozen import frozen
from immutag.core.values import Digest
from immutag.core.verification import Place
from immutag.oci import Descriptor
from immutag.oci.fanout import for_each
from immutag.oci.referrers import Referrer, from_api, from_fallback_tag, legacy_signature
from immutag.oci.registry import Registry

_SIGNATURES = (
    "application/vnd.dev.sigstore.bundle",  # .v0.3+json, or ;version=0.3 before that
    "application/vnd.dev.cosign.artifact.sig",
    "application/vnd.cncf.notary.signature",
)
_PREDICATE = "dev.sigstore.bundle.predicateType"
_COSIGN_SIGN = "https://sigstore.dev/cosign/sign/v1"


@frozen()
class Found:
    """What lies in the places, each candidate once. Every place has answered."""

    candidates: tuple[Descriptor, ...]
    places: tuple[Place, ...]


def look(registry: Registry, subject: Digest) -> Found:
    """Ask all three places. Raises SoftVerifyToolError if one of them cannot be asked."""
    answers: dict[str, tuple[tuple[Descriptor, ...], str]] = {}

    def ask(place: str, _: threading.Event) -> None:
        answers[place] = _PLACES[place](registry, subject)

    try:
        for_each(ask, _PLACES, workers=len(_PLACES))
    except (RegistryError, DigestMismatch, MissingTag) as error:
        raise SoftVerifyToolError(
            f"whether the image is signed cannot be determined: {error.message}",
            expected=error.expected,
            found=error.found,
            remedy=error.remedy,
        ) from error
    candidates = dict.fromkeys(content for place in _PLACES for content in answers[place][0])
    return Found(tuple(candidates), tuple(Place(place, answers[place][1]) for place in _PLACES))


def _legacy_tag(registry: Registry, subject: Digest) -> tuple[tuple[Descriptor, ...], str]:
    found = legacy_signature(registry, subject)
    return ((found,), f"signature {found.digest}") if found else ((), "no such tag")


def _referrers_api(registry: Registry, subject: Digest) -> tuple[tuple[Descriptor, ...], str]:
    found = from_api(registry, subject)
    return ((), "the registry has no such API") if found is None else _signatures(found)


def _fallback_tag(registry: Registry, subject: Digest) -> tuple[tuple[Descriptor, ...], str]:
    return _signatures(from_fallback_tag(registry, subject))


def _signatures(referrers: list[Referrer]) -> tuple[tuple[Descriptor, ...], str]:
    found = tuple(each.content for each in referrers if _is_signature(each))
    if found:
        return found, ", ".join(f"signature {content.digest}" for content in found)
    return (), f"{len(referrers)} referrers, no signature among them" if referrers else "no referrers"


def _is_signature(referrer: Referrer) -> bool:
    """A bundle may also hold an attestation, of which its annotation says so."""
    predicate = referrer.annotations.get(_PREDICATE, _COSIGN_SIGN)
    return referrer.artifact_type.startswith(_SIGNATURES) and predicate == _COSIGN_SIGN


_PLACES: dict[str, Callable[[Registry, Digest], tuple[tuple[Descriptor, ...], str]]] = {
    "cosign tag": _legacy_tag,
    "referrers API": _referrers_api,
    "fallback tag": _fallback_tag,
}
