"""Who vouches for a digest, and how we say it ourselves (DR-003, DR-018)."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from immutag.core.values import Digest

if TYPE_CHECKING:
    from immutag.core.verification import Verification
    from immutag.oci.objects import Objects
    from immutag.oci.registry import Registry
    from immutag.trust.rule import TrustRule


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


def verify(
    registry: "Registry",
    subject: Digest,
    rule: "TrustRule",
    *,
    signatures: "Registry | None" = None,
    objects: "Objects | None" = None,
) -> "Verification":
    """Who vouches for the digest by this rule, as a finding: `missing` only when every place has answered.

    An empty rule trusts nobody. Raises SoftVerifyToolError when the state cannot be determined.
    """
    import os

    from immutag.trust.root import RootOfTrust
    from immutag.trust.verifier import Verifier

    root = RootOfTrust(rule.trusted_root, os.environ)
    return Verifier(registry, rule, root=root, signatures=signatures, objects=objects).verify(subject)
