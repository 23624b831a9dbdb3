"""In-toto statements of others: read exactly, or refused, and never about nothing."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from immutag.core.statement import (
    COSIGN_SIGN,
    SLSA_PROVENANCE_V02,
    STATEMENT_V01,
    STATEMENT_V1,
    Statement,
    Subject,
)
from immutag.core.values import Digest
from immutag.trust.formats.in_toto import parse_statement
from immutag.trust.formats.malformed import Malformed
from tests.parts.mutations import altered, damaged

A, B = "a" * 64, "b" * 64
LONG = "c" * 128
DOCUMENT: dict[str, Any] = {
    "_type": STATEMENT_V1,
    "subject": [{"digest": {"sha256": A}, "annotations": {"org.opencontainers.image.revision": "f" * 40}}],
    "predicateType": COSIGN_SIGN,
    "predicate": {},
}
TEXT = json.dumps(DOCUMENT).encode()


def parsed(**changes: object) -> Statement:
    return parse_statement(json.dumps({**DOCUMENT, **changes}).encode())


def test_a_signature_of_cosign_3() -> None:
    subject = Subject("", Digest(f"sha256:{A}"), {"org.opencontainers.image.revision": "f" * 40})
    assert parse_statement(TEXT) == Statement((subject,), COSIGN_SIGN, {})


def test_provenance_of_the_older_form() -> None:
    entry = {"name": "127.0.0.1/api", "digest": {"sha256": A}}
    found = parsed(
        _type=STATEMENT_V01, predicateType=SLSA_PROVENANCE_V02, subject=[entry], predicate={"a": [1.5]}
    )
    assert found.subjects == (Subject("127.0.0.1/api", Digest(f"sha256:{A}"), {}),)
    assert (found.predicate_type, found.predicate) == (SLSA_PROVENANCE_V02, {"a": [1.5]})


def test_what_we_write_is_read_as_it_was_written() -> None:
    subjects = (Subject("ä", Digest(f"sha256:{A}"), {"a": "b"}), Subject("", Digest(f"sha512:{LONG}"), {}))
    written = Statement(subjects, "https://example.com/p", {"deep": {"er": [None, True]}})
    assert parse_statement(written.encode()) == written


def test_each_subject_and_each_of_its_digests_counts() -> None:
    found = parsed(
        subject=[
            {"name": "one", "digest": {"sha256": A, "sha512": LONG, "gitCommit": "d" * 40}},
            {"name": "other kinds only", "digest": {"sha1": "e" * 40}},
            {"name": "two", "digest": {"sha256": B}},
        ]
    )
    assert [(each.name, str(each.digest)) for each in found.subjects] == [
        ("one", f"sha256:{A}"), ("one", f"sha512:{LONG}"), ("two", f"sha256:{B}"),
    ]  # fmt: skip
    assert found.is_about(Digest(f"sha256:{B}"))
    assert not found.is_about(Digest(f"sha256:{'e' * 64}"))


def test_a_whole_character_may_be_escaped() -> None:
    assert parsed(predicate={"a": "\U0001f600"}).predicate == {"a": "\U0001f600"}
    assert b"\\ud83d" in json.dumps({"a": "\U0001f600"}).encode()


def test_annotations_that_are_no_texts_are_left_out() -> None:
    entry = {"digest": {"sha256": A}, "annotations": {"text": "yes", "number": 1, "object": {}, "none": None}}
    assert parsed(subject=[entry]).subjects[0].annotations == {"text": "yes"}


def test_a_statement_may_have_no_predicate() -> None:
    document = {name: value for name, value in DOCUMENT.items() if name != "predicate"}
    assert parse_statement(json.dumps(document).encode()).predicate == {}
    assert parsed(predicate=None).predicate == {}


@pytest.mark.parametrize(
    "changes",
    [
        {"_type": None},
        {"_type": "https://in-toto.io/Statement/v2"},
        {"_type": [STATEMENT_V1]},
        {"subject": None},
        {"subject": []},
        {"subject": {}},
        {"subject": [{}]},
        {"subject": [{"digest": {}}]},
        {"subject": [{"digest": None}]},
        {"subject": [{"digest": {"sha1": "e" * 40}}]},
        {"subject": [{"digest": {"sha256": A.upper()}}]},
        {"subject": [{"digest": {"sha256": A[:-1]}}]},
        {"subject": [{"digest": {"sha256": f"{A}\n"}}]},
        {"subject": [{"digest": {"sha256": f"sha256:{A}"}}]},
        {"subject": [{"digest": {"sha256": [A]}}]},
        {"subject": [{"digest": {"sha256": A}}, {"digest": {"sha256": "wrong"}}]},
        {"subject": [{"digest": {"sha256": A}}, None]},
        {"subject": [{"digest": {"sha256": A}, "name": 0}]},
        {"subject": [{"digest": {"sha256": A}, "annotations": []}]},
        {"subject": [{"digest": {"sha256": A}}] * 10_001},
        {"predicateType": None},
        {"predicateType": {}},
        {"predicate": "text"},
        {"predicate": []},
        {"predicate": {"deep": [{"er": "\ud800"}]}},
        {"predicate": {"\udfff": 1}},
    ],
)
def test_a_statement_that_is_none_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        parsed(**changes)


def test_a_field_that_stands_twice_is_refused() -> None:
    with pytest.raises(Malformed):
        parse_statement(TEXT[:-1] + b', "predicateType": "https://slsa.dev/provenance/v1"}')
    inner = TEXT.replace(b'"sha256": "aaaa', b'"sha256": "%b", "sha256": "aaaa' % B.encode())
    with pytest.raises(Malformed):
        parse_statement(inner)


@given(st.binary(max_size=80) | damaged(TEXT) | altered(DOCUMENT))
def test_any_bytes_are_a_statement_or_malformed(content: bytes) -> None:
    with suppress(Malformed):
        found = parse_statement(content)
        assert found.subjects
        assert parse_statement(found.encode()) == found
