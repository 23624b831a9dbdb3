"""Facts: what happened, in the ledger's words. Everything that people look at is a fold over these.

A fact is a frozen class of values; its JSON form has the same field names, with values as their text.
A release's stream holds `requested → built → pushed → claimed → signed, described, attested → tagged`, an
environment's `deploying → healthy | restored | failed | rolled_back`, `held`, `released_hold`, `mandatory`.
Either may hold `stopped`: the command ended with that error.
"""

import types
import typing
from collections.abc import Mapping
from enum import Enum
from functools import cache
from typing import Any, ClassVar, Self

from immutag.core.errors import ImmutagError, LedgerCorrupt
from immutag.core.frozen import fields, frozen
from immutag.core.values import (
    Digest,
    EnvironmentName,
    GitSha,
    ImageRef,
    Repository,
    RepositoryType,
    shown,
)


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


@frozen()
class Requested:
    """A release of this commit was asked for."""

    type: ClassVar[str] = "requested"
    sha: GitSha
    repository: Repository
    repository_type: RepositoryType
    branch: str | None
    source: str | None


@frozen()
class Built:
    """A clean build, or a given layout, has this root manifest; its bytes were hashed by us."""

    type: ClassVar[str] = "built"
    sha: GitSha
    repository: Repository
    digest: Digest
    media_type: str
    size_bytes: int
    platform: str
    builder: str
    duration_ms: int


@frozen()
class Pushed:
    """All content below this digest is in the registry, and the root was read back by digest."""

    type: ClassVar[str] = "pushed"
    sha: GitSha
    repository: Repository
    digest: Digest
    duration_ms: int


@frozen()
class Claimed:
    """The one digest that this SHA will ever have (law 2)."""

    type: ClassVar[str] = "claimed"
    sha: GitSha
    repository: Repository
    digest: Digest
    media_type: str
    size_bytes: int


class Evidence(Enum):
    """What a release attaches to its claimed digest, between the claim and the tag (DR-018)."""

    SIGNATURE = "signature"
    PROVENANCE = "provenance"
    CYCLONEDX = "sbom-cyclonedx"
    SPDX = "sbom-spdx"


@frozen()
class Signed:
    """A signature of ours was attached to the claimed digest and read back, or found there already.

    `manifests`: each form's manifest (the bundle's referrer, cosign's legacy one).
    """

    type: ClassVar[str] = "signed"
    sha: GitSha
    repository: Repository
    digest: Digest
    signer: str
    manifests: tuple[Digest, ...]


@frozen()
class Described:
    """An SBOM of the claimed digest was attached as a referrer and read back (DR-009)."""

    type: ClassVar[str] = "described"
    sha: GitSha
    repository: Repository
    digest: Digest
    evidence: Evidence
    document: Digest
    manifest: Digest


@frozen()
class Attested:
    """A signed in-toto statement about the digest was attached and read back."""

    type: ClassVar[str] = "attested"
    sha: GitSha
    repository: Repository
    digest: Digest
    predicate_type: str
    signer: str
    manifest: Digest


@frozen()
class EvidenceFailed:
    """Evidence could not be made or attached. The release goes on (law 7); the next run tries again."""

    type: ClassVar[str] = "evidence_failed"
    sha: GitSha
    repository: Repository
    digest: Digest
    evidence: Evidence
    code: str
    message: str
    found: str


@frozen()
class Adopted:
    """A SHA tag that was there before the ledger was looked at whole: all of its content is in the registry.

    `revision`: the commit that the image names itself, if it names one.
    """

    type: ClassVar[str] = "adopted"
    sha: GitSha
    repository: Repository
    digest: Digest
    revision: GitSha | None


@frozen()
class SignatureChecked:
    """What the three places of signatures held for this digest."""

    type: ClassVar[str] = "signature_checked"
    sha: GitSha
    repository: Repository
    digest: Digest
    status: SignatureStatus
    reason: SignatureReason
    signer: str | None


@frozen()
class Tagged:
    """The SHA tag names the claimed digest; read back by tag and by digest. This is a release."""

    type: ClassVar[str] = "tagged"
    sha: GitSha
    repository: Repository
    digest: Digest
    short_tag: bool
    write_once: WriteOnce


@frozen()
class Stopped:
    """A command ended with this error; `stage` says at which check or act."""

    type: ClassVar[str] = "stopped"
    sha: GitSha
    repository: Repository
    digest: Digest | None
    environment: EnvironmentName | None
    command: str
    stage: str
    code: str
    message: str
    expected: str
    found: str

    @classmethod
    def by(
        cls,
        error: ImmutagError,
        *,
        sha: GitSha,
        repository: Repository,
        command: str,
        stage: str,
        digest: Digest | None = None,
        environment: EnvironmentName | None = None,
    ) -> Self:
        return cls(
            sha, repository, digest, environment, command, stage,
            error.code, error.message, error.expected, error.found,
        )  # fmt: skip


@frozen()
class Deploying:
    """A deployment has begun, under a lease: no act of it happens after `until`.

    It restates what it found (`previous_*`, `held`, `quarantined`), so that a fold may begin here.
    `accepted`: the digest and those of its platform manifests, any of which a platform may report.
    """

    type: ClassVar[str] = "deploying"
    sha: GitSha
    repository: Repository
    digest: Digest
    accepted: tuple[Digest, ...]
    repository_type: RepositoryType
    environment: EnvironmentName
    target: str
    command: str
    automatic: bool
    reason: str | None
    previous_sha: GitSha | None
    previous_image: ImageRef | None
    commits_ahead: int | None
    signature_status: SignatureStatus
    signature_reason: SignatureReason
    held: bool
    quarantined: tuple[GitSha, ...]
    holder: str
    until: str


@frozen()
class TakenOver:
    """A deployment whose holder is gone is being closed by somebody else, under a lease of their own."""

    type: ClassVar[str] = "taken_over"
    sha: GitSha
    repository: Repository
    digest: Digest
    environment: EnvironmentName
    holder: str
    until: str


@frozen()
class Healthy:
    """The deployment's digest was seen running and healthy (`ok`), or could not be observed."""

    type: ClassVar[str] = "healthy"
    sha: GitSha
    repository: Repository
    digest: Digest
    environment: EnvironmentName
    outcome: Outcome
    running_digest: Digest | None
    duration_ms: int


@frozen()
class RolledBack:
    """A rollback's digest was seen running and healthy (`ok`), or could not be observed."""

    type: ClassVar[str] = "rolled_back"
    sha: GitSha
    repository: Repository
    digest: Digest
    environment: EnvironmentName
    outcome: Outcome
    previous_sha: GitSha | None
    running_digest: Digest | None
    duration_ms: int


@frozen()
class Restored:
    """The new release did not become healthy; the previous one runs again."""

    type: ClassVar[str] = "restored"
    sha: GitSha
    repository: Repository
    digest: Digest
    environment: EnvironmentName
    restored_sha: GitSha
    restored_digest: Digest
    running_digest: Digest | None
    why: str
    duration_ms: int


@frozen()
class Failed:
    """The new release did not become healthy, and nothing could be restored."""

    type: ClassVar[str] = "failed"
    sha: GitSha
    repository: Repository
    digest: Digest
    environment: EnvironmentName
    running_digest: Digest | None
    why: str
    duration_ms: int


@frozen()
class Held:
    """Automatic deployments stay away until a person lifts this. `quarantined` was left by a rollback."""

    type: ClassVar[str] = "held"
    repository: Repository
    environment: EnvironmentName
    reason: str
    quarantined: GitSha | None


@frozen()
class ReleasedHold:
    """A person lifted the hold."""

    type: ClassVar[str] = "released_hold"
    repository: Repository
    environment: EnvironmentName
    reason: str


@frozen()
class Mandatory:
    """By these figures verification became mandatory in this environment, for good (DR-003).

    Of `deployed` distinct SHAs, `signed` had a signature that was looked at; of the `checks` of signed
    images, `failures` ended badly.
    """

    type: ClassVar[str] = "mandatory"
    repository: Repository
    environment: EnvironmentName
    deployed: int
    signed: int
    checks: int
    failures: int


@frozen()
class AllowedUnverified:
    """A person let an unverified digest through although verification is mandatory (break-glass)."""

    type: ClassVar[str] = "allowed_unverified"
    sha: GitSha
    repository: Repository
    digest: Digest
    environment: EnvironmentName
    signature_reason: SignatureReason
    reason: str


@frozen()
class Summarised:
    """A signed verification summary of a deployment or rollback: the bundle itself, and where it lies too.

    `manifest` is None where the credential cannot write to the registry.
    """

    type: ClassVar[str] = "summarised"
    sha: GitSha
    repository: Repository
    digest: Digest
    environment: EnvironmentName
    predicate_type: str
    signer: str
    bundle: str
    manifest: Digest | None


@frozen()
class Anchored:
    """The ledger's head was signed as a C2SP checkpoint and left outside (DR-017)."""

    type: ClassVar[str] = "anchored"
    repository: Repository
    size: int
    root: str
    note: str
    manifest: Digest | None


@frozen()
class Ingested:
    """An attestation by somebody, found on a digest. `verified_by` is None where we trust none of it."""

    type: ClassVar[str] = "ingested"
    repository: Repository
    digest: Digest
    source: str
    predicate_type: str
    document: Digest
    verified_by: str | None


@frozen()
class Probed:
    """What keeps this registry's tags from being written twice, as tried by `doctor --probe`."""

    type: ClassVar[str] = "probed"
    repository: Repository
    write_once: WriteOnce


Fact = (
    Requested | Built | Pushed | Claimed | Signed | Described | Attested | EvidenceFailed | SignatureChecked
    | Tagged | Stopped | Deploying | TakenOver | Healthy | RolledBack | Restored | Failed | Held
    | ReleasedHold | Adopted | Mandatory | AllowedUnverified | Summarised | Anchored | Ingested | Probed
)  # fmt: skip

_KINDS: dict[str, type[Fact]] = {kind.type: kind for kind in typing.get_args(Fact)}


@frozen(order=True)
class Stream:
    """The facts about one thing, numbered 1, 2, … within it."""

    name: str

    @classmethod
    def release(cls, repository: Repository, sha: GitSha) -> Self:
        return cls(f"release:{repository}:{sha}")

    @classmethod
    def environment(cls, canonical: Repository, environment: EnvironmentName) -> Self:
        """Named by the canonical repository, so that many services can share a ledger."""
        return cls(f"environment:{canonical}:{environment}")

    @classmethod
    def registry(cls, repository: Repository) -> Self:
        return cls(f"registry:{repository}")

    @classmethod
    def ledger(cls, canonical: Repository) -> Self:
        """About the ledger itself, as this service sees it: where its head was left."""
        return cls(f"ledger:{canonical}")

    @classmethod
    def image(cls, repository: Repository, digest: Digest) -> Self:
        """What was found on a digest, whoever released it."""
        return cls(f"image:{repository}@{digest}")

    def __str__(self) -> str:
        return self.name


@frozen()
class Entry:
    """A fact in the ledger (DR-017). `time` is UTC, RFC 3339 with milliseconds; hashes are hex."""

    sequence: int
    stream: Stream
    version: int
    time: str
    actor: str
    previous: str
    hash: str
    fact: Fact


def encode(fact: Fact) -> dict[str, Any]:
    """The fact's JSON form: its field names, with values as their text."""
    return {field.name: _plain(getattr(fact, field.name)) for field in fields(fact)}


def decode(kind: str, document: Mapping[str, Any]) -> Fact:
    """The fact back from its JSON form. Raises LedgerCorrupt for anything that `encode` never gave."""
    cls = _KINDS.get(kind)
    try:
        if cls and set(document) == set(_parsers(kind)):
            return cls(**{name: parse(document[name]) for name, parse in _parsers(kind).items()})
        found = f"{kind} with the fields {', '.join(sorted(document))}"
    except (ValueError, TypeError, ImmutagError) as error:
        found = str(error)
    raise LedgerCorrupt(
        "an entry is not a fact",
        expected=f"a fact of a known type: {', '.join(sorted(_KINDS))}",
        found=shown(found),
        remedy="immutag ledger verify",
    )


def _plain(value: object) -> object:
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return str(value)


@cache
def _parsers(kind: str) -> dict[str, Any]:
    cls = _KINDS[kind]
    hints = typing.get_type_hints(cls)
    return {field.name: _parser(hints[field.name]) for field in fields(cls)}


def _parser(hint: Any) -> Any:
    """How a field of this type is read from JSON."""
    if isinstance(hint, types.UnionType):
        inner = _parser(next(part for part in hint.__args__ if part is not types.NoneType))
        return lambda value: None if value is None else inner(value)
    if typing.get_origin(hint) is tuple:
        inner = _parser(hint.__args__[0])
        return lambda value: tuple(inner(item) for item in value)
    if hint in (Repository, ImageRef):
        return lambda value: hint.parse(_exactly(str, value))
    if hint in (str, int, bool):
        return lambda value: _exactly(hint, value)
    return hint


def _exactly(kind: type, value: object) -> object:
    if type(value) is not kind:
        raise ValueError(f"{value!r} is not {kind.__name__}")
    return value
