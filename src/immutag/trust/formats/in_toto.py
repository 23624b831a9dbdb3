"""In-toto statements as others write them: v1, and v0.1 of older tools (in-toto attestation spec)."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from immutag.core.statement import STATEMENT_V01, STATEMENT_V1, Statement, Subject
from immutag.core.values import Digest
from immutag.trust.formats.malformed import load, mapping, optional_text, refuse, sequence, text

_HEX_CHARACTERS = {"sha256": 64, "sha512": 128}
_SUBJECTS = 10_000


def parse_statement(payload: bytes) -> Statement:
    """What a statement says. A subject with two digests is two subjects of one name, and what is named by
    other algorithms than ours is left out; a statement about nothing else is malformed. Raises Malformed."""
    fields = load(payload, "statement")
    if fields.get("_type") not in (STATEMENT_V1, STATEMENT_V01):
        refuse("_type", STATEMENT_V1, fields.get("_type"))
    entries = sequence(fields.get("subject"), "subject", limit=_SUBJECTS)
    subjects = tuple(found for at, each in enumerate(entries) for found in _subjects(each, f"subject[{at}]"))
    if not subjects:
        refuse("subject", "one with a sha256 or sha512 digest", "none")
    predicate = fields.get("predicate")
    return Statement(
        subjects,
        text(fields.get("predicateType"), "predicateType"),
        {} if predicate is None else mapping(predicate, "predicate"),
    )


def _subjects(value: object, path: str) -> Iterator[Subject]:
    fields = mapping(value, path)
    name = optional_text(fields.get("name"), f"{path}.name")
    annotations = _annotations(fields.get("annotations"), f"{path}.annotations")
    digests = fields.get("digest")
    for algorithm, found in mapping(digests if digests is not None else {}, f"{path}.digest").items():
        if algorithm in _HEX_CHARACTERS:
            yield Subject(name, _digest(algorithm, found, f"{path}.digest.{algorithm}"), annotations)


def _digest(algorithm: str, found: object, path: str) -> Digest:
    length = _HEX_CHARACTERS[algorithm]
    if not isinstance(found, str) or not re.fullmatch(f"[0-9a-f]{{{length}}}", found):
        refuse(path, f"{length} lowercase hex characters", found)
    return Digest(f"{algorithm}:{found}")


def _annotations(value: object, path: str) -> Mapping[str, str]:
    """Those that are texts; others may hold anything."""
    fields: dict[str, Any] = {} if value is None else mapping(value, path)
    return {
        text(name, path): text(each, f"{path}.{name}")
        for name, each in fields.items()
        if isinstance(each, str)
    }
