"""Why a command stopped: one root, a stable code and exit status for each kind.

    ImmutagError
    ├── MissingSha            10  MISSING_SHA
    ├── BuildFailure          11  BUILD_FAILURE
    ├── PushFailure           12  PUSH_FAILURE
    ├── MissingTag            13  MISSING_TAG
    ├── PolicyViolation       14  POLICY_VIOLATION
    ├── DigestMismatch        15  DIGEST_MISMATCH
    ├── SoftVerifyToolError   16  SOFT_VERIFY_TOOL_ERROR
    ├── RegistryError             (never raised itself)
    │   ├── RegistryAuth          17  REGISTRY_AUTH
    │   └── RegistryUnavailable   18  REGISTRY_UNAVAILABLE
    ├── DeployFailure         19  DEPLOY_FAILURE
    ├── LedgerConflict        20  LEDGER_CONFLICT
    ├── LedgerCorrupt         21  LEDGER_CORRUPT
    └── ConfigInvalid         22  CONFIG_INVALID

A finding that does not stop a command (an unsigned image in soft mode) is a value, not an exception.
No text given to an error may hold a secret: errors are shown, logged and recorded.
"""

from typing import ClassVar


class ImmutagError(Exception):
    """Something that a person must know: what was expected, what was found, and what to do next."""

    code: ClassVar[str]
    exit_status: ClassVar[int]
    meaning: ClassVar[str]

    def __init__(self, message: str, *, expected: str, found: str, remedy: str) -> None:
        super().__init__(message)
        self.message = message
        self.expected = expected
        self.found = found
        self.remedy = remedy

    def as_json(self) -> dict[str, str]:
        """The `error` object of the contracts: `code`, `message`, `expected`, `found`, `next`."""
        return {
            "code": self.code,
            "message": self.message,
            "expected": self.expected,
            "found": self.found,
            "next": self.remedy,
        }


class MissingSha(ImmutagError):
    """No full commit SHA where one is required (DR-001)."""

    code, exit_status = "MISSING_SHA", 10
    meaning = "no SHA, a malformed one, or one that is no commit of this repository"


class BuildFailure(ImmutagError):
    """The builder failed, ran out of time, or did not give an image (DR-002)."""

    code, exit_status = "BUILD_FAILURE", 11
    meaning = "the build failed or ran out of time"


class PushFailure(ImmutagError):
    """The registry did not take the content or the tag."""

    code, exit_status = "PUSH_FAILURE", 12
    meaning = "the registry did not take the content or the tag"


class MissingTag(ImmutagError):
    """The SHA is no release: the registry or the ledger says clearly that it has none."""

    code, exit_status = "MISSING_TAG", 13
    meaning = "the SHA tag is not in the registry, or the ledger does not know it"


class PolicyViolation(ImmutagError):
    """One of the laws forbids it."""

    code, exit_status = "POLICY_VIOLATION", 14
    meaning = "floating or short tag, wrong repository, dirty tree, cache, hold, quarantine, going back"


class DigestMismatch(ImmutagError):
    """Two digests that must be one are not (DR-007)."""

    code, exit_status = "DIGEST_MISMATCH", 15
    meaning = "two digests that must be one are not"


class SoftVerifyToolError(ImmutagError):
    """The state of the signature could not be determined: no verdict, not even a soft one (DR-003)."""

    code, exit_status = "SOFT_VERIFY_TOOL_ERROR", 16
    meaning = "the state of the signature could not be determined"


class RegistryError(ImmutagError):
    """The registry could not be asked. It says nothing about what the registry holds."""


class RegistryAuth(RegistryError):
    """The registry refused our credentials, or wants some."""

    code, exit_status = "REGISTRY_AUTH", 17
    meaning = "the registry refused the credentials, or wants some"


class RegistryUnavailable(RegistryError):
    """The registry did not answer, or answered nonsense."""

    code, exit_status = "REGISTRY_UNAVAILABLE", 18
    meaning = "the registry did not answer, or answered nonsense"


class DeployFailure(ImmutagError):
    """The target did not become healthy; the previous release was restored where there was one."""

    code, exit_status = "DEPLOY_FAILURE", 19
    meaning = "the target did not become healthy; the previous release was restored where there was one"


class LedgerConflict(ImmutagError):
    """Somebody else holds the environment, or the claimed content is gone."""

    code, exit_status = "LEDGER_CONFLICT", 20
    meaning = "somebody else holds the environment, or the claimed content is gone"


class LedgerCorrupt(ImmutagError):
    """The ledger is not what it was (DR-017)."""

    code, exit_status = "LEDGER_CORRUPT", 21
    meaning = "the ledger is not what it was"


class ConfigInvalid(ImmutagError):
    """The configuration, or this machine's set-up, cannot be used."""

    code, exit_status = "CONFIG_INVALID", 22
    meaning = "the configuration, or this machine's set-up, cannot be used"


KINDS: tuple[type[ImmutagError], ...] = (
    MissingSha,
    BuildFailure,
    PushFailure,
    MissingTag,
    PolicyViolation,
    DigestMismatch,
    SoftVerifyToolError,
    RegistryAuth,
    RegistryUnavailable,
    DeployFailure,
    LedgerConflict,
    LedgerCorrupt,
    ConfigInvalid,
)

STATUSES = {kind.code: kind.exit_status for kind in KINDS}
