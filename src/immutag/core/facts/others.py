"""What may happen anywhere: a command stopped, a head was anchored, others attested, a registry was tried."""

from typing import ClassVar, Self

from immutag.core.errors import ImmutagError
from immutag.core.facts.words import SignatureReason, SignatureStatus, WriteOnce
from immutag.core.frozen import frozen
from immutag.core.values import Digest, EnvironmentName, GitSha, Repository


@frozen()
class Stopped:
    """A command ended with this error; `stage` says at which check or act.

    `signature_*`: what was found of the image's signature, where that, or its provenance, is why.
    """

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
    signature_status: SignatureStatus | None = None
    signature_reason: SignatureReason | None = None

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
        signature: tuple[SignatureStatus, SignatureReason] | None = None,
    ) -> Self:
        return cls(
            sha, repository, digest, environment, command, stage,
            error.code, error.message, error.expected, error.found, *(signature or (None, None)),
        )  # fmt: skip


@frozen()
class Anchored:
    """The ledger's head was signed as a C2SP checkpoint and left outside (DR-017).

    `bundle` is the blob, in the same manifest, with the proof that a transparency log holds the signature.
    With an identity for a signer only the bundle is signed, and `note` is the bare text.
    """

    type: ClassVar[str] = "anchored"
    repository: Repository
    size: int
    root: str
    note: str
    manifest: Digest | None
    bundle: Digest | None = None


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
