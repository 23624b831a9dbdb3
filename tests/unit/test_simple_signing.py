"""cosign's older payload: written byte for byte as cosign does, read exactly or refused."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from immutag.core.values import Digest, ImageRef, Repository
from immutag.trust.formats.malformed import Malformed
from immutag.trust.formats.simple_signing import TYPE, SimpleSigning, encode_simple, parse_simple
from tests.parts.mutations import altered, damaged

DIGEST = Digest("sha256:" + "a" * 64)
IMAGE = ImageRef(Repository.parse("127.0.0.1:5000/api"), DIGEST)
DOCUMENT: dict[str, Any] = {
    "critical": {
        "identity": {"docker-reference": "127.0.0.1:5000/api"},
        "image": {"docker-manifest-digest": str(DIGEST)},
        "type": TYPE,
    },
    "optional": None,
}
TEXT = json.dumps(DOCUMENT).encode()


def test_a_payload_is_written_as_cosign_writes_it() -> None:
    assert encode_simple(IMAGE, {}) == TEXT.replace(b": ", b":").replace(b", ", b",")
    optional = json.loads(encode_simple(IMAGE, {"b": "2", "a": "1"}))["optional"]
    assert list(optional.items()) == [("a", "1"), ("b", "2")]


def test_a_payload_is_read_as_it_was_written() -> None:
    assert parse_simple(TEXT) == SimpleSigning(TYPE, DIGEST, "127.0.0.1:5000/api", {})
    found = parse_simple(encode_simple(IMAGE, {"commit": "f" * 40}))
    assert found.optional == {"commit": "f" * 40}


def test_the_claimed_reference_may_be_missing() -> None:
    for identity in ({}, {"docker-reference": ""}, {"docker-reference": None}):
        critical = {**DOCUMENT["critical"], "identity": identity}
        assert parse_simple(json.dumps({"critical": critical}).encode()).reference == ""


def test_what_it_claims_is_for_its_verifier() -> None:
    critical = {**DOCUMENT["critical"], "type": "atomic container signature"}
    assert parse_simple(json.dumps({"critical": critical}).encode()).kind == "atomic container signature"


@pytest.mark.parametrize(
    "critical",
    [
        None,
        {},
        [],
        {"type": None},
        {"image": {}},
        {"image": {"docker-manifest-digest": "sha256:" + "A" * 64}},
        {"image": {"docker-manifest-digest": f"{DIGEST}\n"}},
        {"image": {"docker-manifest-digest": [str(DIGEST)]}},
        {"identity": None},
        {"identity": {"docker-reference": 7}},
    ],
)
def test_a_payload_that_is_none_is_refused(critical: object) -> None:
    given = {**DOCUMENT["critical"], **critical} if isinstance(critical, dict) and critical else critical
    with pytest.raises(Malformed):
        parse_simple(json.dumps({**DOCUMENT, "critical": given}).encode())


def test_a_field_that_stands_twice_is_refused() -> None:
    with pytest.raises(Malformed):
        parse_simple(TEXT.replace(b'"type"', b'"type": "another", "type"'))


@given(st.binary(max_size=80) | damaged(TEXT) | altered(DOCUMENT))
def test_any_bytes_are_a_payload_or_malformed(content: bytes) -> None:
    with suppress(Malformed):
        assert parse_simple(content).digest.hex
