"""Who vouches for a digest (DR-003)."""

from typing import TYPE_CHECKING

from immutag.core.values import Digest

if TYPE_CHECKING:
    from immutag.core.verification import Verification
    from immutag.oci.registry import Registry


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
