"""Who vouches for a digest, and how we say it ourselves (DR-003, DR-018)."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from immutag.core.values import Digest

if TYPE_CHECKING:
    from immutag.core.verification import Verification
    from immutag.oci.registry import Registry


class Signer(Protocol):
    """Signs for one key or one identity, as often as it is asked: unlocked, or logged in, once.

    Raises SoftVerifyToolError where a service or program that it needs does not do its part.
    """

    @property
    def name(self) -> str:
        """What a verifier will call it: `key sha256:…`, or `SUBJECT (ISSUER)`."""
        ...

    def bundle(self, statement: bytes) -> bytes:
        """A Sigstore bundle (v0.3, JSON) that holds the in-toto statement in a DSSE envelope."""
        ...

    def simple(self, payload: bytes) -> Mapping[str, str] | None:
        """The annotations of cosign's legacy layer whose content is this payload; None where this signer
        has no such form."""
        ...


def verify(registry: "Registry", subject: Digest) -> "Verification":
    """Who vouches for the digest, as a finding: `missing` only when every place has answered.

    No key and no identity is trusted yet, so a signature that is there is `key_not_found`: nothing is ever
    verified by default. Raises SoftVerifyToolError when the state cannot be determined.
    """
    from immutag.core.facts import SignatureReason
    from immutag.core.verification import Unverified
    from immutag.trust.places import look

    found = look(registry, subject)
    reason = SignatureReason.KEY_NOT_FOUND if found.candidates else SignatureReason.MISSING
    return Unverified(subject, reason, found.places)
