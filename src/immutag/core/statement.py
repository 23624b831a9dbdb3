"""An in-toto statement: a claim about subjects, named by their digests (in-toto attestation spec, v1)."""

import json
from collections.abc import Mapping
from typing import Any

from immutag.core.errors import PolicyViolation
from immutag.core.frozen import frozen
from immutag.core.values import Digest

STATEMENT_V1 = "https://in-toto.io/Statement/v1"
STATEMENT_V01 = "https://in-toto.io/Statement/v0.1"
PAYLOAD_TYPE = "application/vnd.in-toto+json"

COSIGN_SIGN = "https://sigstore.dev/cosign/sign/v1"
SLSA_PROVENANCE = "https://slsa.dev/provenance/v1"
SLSA_PROVENANCE_V02 = "https://slsa.dev/provenance/v0.2"
VERIFICATION_SUMMARY = "https://slsa.dev/verification_summary/v1"
CYCLONEDX = "https://cyclonedx.org/bom"
SPDX = "https://spdx.dev/Document"


@frozen()
class Subject:
    """What a statement is about. `name` and `annotations` are its author's words."""

    name: str
    digest: Digest
    annotations: Mapping[str, str]


@frozen()
class Statement:
    """Subjects, and what is said of them. One without a subject is about nothing, so there is none."""

    subjects: tuple[Subject, ...]
    predicate_type: str
    predicate: Mapping[str, Any]

    def __post_init__(self) -> None:
        if not self.subjects:
            raise PolicyViolation(
                "a statement about nothing",
                expected="at least one subject",
                found="none",
                remedy="report it as a defect of immutag",
            )

    def is_about(self, digest: Digest) -> bool:
        """Whether the digest is one of the subjects'."""
        return any(subject.digest == digest for subject in self.subjects)

    def encode(self) -> bytes:
        """Its JSON form, the payload of a DSSE envelope."""
        subjects = [_encoded(subject) for subject in self.subjects]
        document = {
            "_type": STATEMENT_V1,
            "subject": subjects,
            "predicateType": self.predicate_type,
            "predicate": dict(self.predicate),
        }
        return json.dumps(document, separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode()


def _encoded(subject: Subject) -> dict[str, Any]:
    """With its name also where that is empty: one of Sigstore's own signers wants the field."""
    entry = {"name": subject.name, "digest": {subject.digest.algorithm: subject.digest.hex}}
    return {**entry, "annotations": dict(subject.annotations)} if subject.annotations else entry
