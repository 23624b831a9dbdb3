"""Attach an SBOM to a claimed digest, as a referrer and as a signed statement (DR-009, DR-018).

Before: the digest is claimed, and its content is in the registry. After: whoever lists its referrers finds
the SBOM, and it lies among the artifacts. Killed in between: the next run makes the same, and finds it.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from immutag.core.annotations import CREATED, REVISION
from immutag.core.errors import BuildFailure, ImmutagError
from immutag.core.facts import Attested, Claimed, Described, Evidence, EvidenceFailed, Fact
from immutag.core.linkage import Document, Link
from immutag.core.sbom import MEDIA_TYPES, PREDICATES, artifact_name, file_name, link
from immutag.core.statement import Statement, Subject
from immutag.oci import Descriptor
from immutag.oci.attach import Artifact, Layer, attach
from immutag.oci.registry import Registry
from immutag.trust.evidence.sbom import encode
from immutag.usecases.artifacts import save
from immutag.usecases.attest import Attesting
from immutag.usecases.attest import attest as attest_statement

TITLE = "org.opencontainers.image.title"
ATTESTED_LIMIT_BYTES = 11 * 1024 * 1024
"""What verifiers read of a bundle is 16 MiB, and base64 takes a third more."""


def describe(
    evidence: Evidence,
    claim: Claimed,
    *,
    to: Link,
    documents: Callable[[], Mapping[Evidence, Document]],
    registry: Registry,
    artifacts: Path,
    attesting: Attesting | None,
) -> list[Fact]:
    """The SBOM in the format of `evidence`. `documents` makes them, in all wanted formats at once.

    A statement that could not be attached is the last fact. Raises BuildFailure, ConfigInvalid, PushFailure,
    RegistryUnavailable, RegistryAuth, DigestMismatch.
    """
    document = link(documents()[evidence], to)
    layer = Layer(MEDIA_TYPES[evidence], encode(document), {TITLE: file_name(evidence, claim.sha)})
    save(artifacts, artifact_name(claim.sha), file_name(evidence, claim.sha), layer.content)
    subject = Descriptor(claim.media_type, claim.digest, claim.size_bytes)
    said = {CREATED: to.time, REVISION: str(claim.sha)}
    manifest = attach(registry, subject, Artifact(layer.media_type, (layer,), said))
    described = Described(
        claim.sha, claim.repository, claim.digest, evidence, layer.descriptor.digest, manifest.digest
    )
    if attesting is None:
        return [described]
    return [described, _attest(evidence, claim, document, len(layer.content), to=to, by=attesting)]


def _attest(
    evidence: Evidence, claim: Claimed, document: Document, size_bytes: int, *, to: Link, by: Attesting
) -> Fact:
    """The SBOM is there already, whatever becomes of the statement, so a failure is a fact beside it."""
    subject = Descriptor(claim.media_type, claim.digest, claim.size_bytes)
    about = Subject("", claim.digest, {REVISION: str(claim.sha)})
    predicate_type = PREDICATES[evidence]
    try:
        if size_bytes > ATTESTED_LIMIT_BYTES:
            raise _too_large(size_bytes)
        statement = Statement((about,), predicate_type, document)
        manifest = attest_statement(statement, subject=subject, created=to.time, by=by)
    except ImmutagError as error:
        return EvidenceFailed(
            claim.sha, claim.repository, claim.digest, evidence, error.code, error.message, error.found
        )
    return Attested(claim.sha, claim.repository, claim.digest, predicate_type, by.signer.name, manifest)


def _too_large(size_bytes: int) -> BuildFailure:
    return BuildFailure(
        "the SBOM is too large for a signed statement",
        expected=f"at most {ATTESTED_LIMIT_BYTES} bytes",
        found=f"{size_bytes} bytes",
        remedy='set [sbom] formats = ["cyclonedx"], which lists no files',
    )
