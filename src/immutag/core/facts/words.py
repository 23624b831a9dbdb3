"""The words that facts are told in: each a closed list (contracts)."""

from enum import Enum


class SignatureStatus(Enum):
    """Whether somebody we trust vouches for the digest (contracts)."""

    VERIFIED = "verified"
    UNVERIFIED = "unverified"


class SignatureReason(Enum):
    """Why a digest is unverified; `n/a` when it is verified (contracts)."""

    MISSING = "missing"
    KEY_NOT_FOUND = "key_not_found"
    INVALID = "invalid"
    IDENTITY_MISMATCH = "identity_mismatch"
    ERROR = "error"
    NOT_APPLICABLE = "n/a"


class WriteOnce(Enum):
    """What keeps a tag from being written twice, strongest first."""

    REGISTRY = "registry"
    CONDITIONAL_PUT = "conditional-put"
    SHARED_LEDGER = "shared-ledger"
    CONVENTION = "convention"


class Outcome(Enum):
    """How a deployment or rollback ended (contracts)."""

    OK = "ok"
    UNCHANGED = "unchanged"
    UNOBSERVED = "unobserved"
    RESTORED = "restored"
    FAILED = "failed"


class Evidence(Enum):
    """What a release attaches to its claimed digest, between the claim and the tag (DR-018)."""

    SIGNATURE = "signature"
    PROVENANCE = "provenance"
    CYCLONEDX = "sbom-cyclonedx"
    SPDX = "sbom-spdx"
