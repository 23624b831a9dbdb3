"""Facts as JSON: every one comes back as it was, and garbage is LedgerCorrupt, never another error."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from immutag.core.errors import LedgerCorrupt, PolicyViolation
from immutag.core.facts import Anchored, Fact, Requested, Stopped, decode, encode
from immutag.core.values import Digest, GitSha, Repository, RepositoryType
from tests.parts.facts import FACTS, KINDS, facts_of

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.type)
@settings(max_examples=25)
@given(data=st.data())
def test_a_fact_comes_back_from_its_json(kind: type[Fact], data: st.DataObject) -> None:
    fact = data.draw(facts_of(kind))
    assert decode(kind.type, json.loads(json.dumps(encode(fact)))) == fact


def test_every_kind_has_its_own_name() -> None:
    assert len({kind.type for kind in KINDS}) == len(KINDS) >= 15


@given(fact=FACTS, data=st.data(), value=JSON)
def test_a_field_with_garbage_is_corrupt_or_reads_as_it_is_written(
    fact: Fact, data: st.DataObject, value: object
) -> None:
    document = encode(fact)
    document[data.draw(st.sampled_from(sorted(document)))] = value
    try:
        back = decode(fact.type, document)
    except LedgerCorrupt:
        return
    assert set(encode(back)) == set(document)


@given(
    kind=st.sampled_from([kind.type for kind in KINDS]) | st.text(), document=st.dictionaries(st.text(), JSON)
)
def test_a_document_of_garbage_is_corrupt(kind: str, document: dict[str, Any]) -> None:
    with pytest.raises(LedgerCorrupt):
        decode(kind, document)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("sha", "A" * 40),
        ("sha", None),
        ("sha", 5),
        ("repository", 5),
        ("repository", "no-host/api"),
        ("repository_type", "production"),
        ("branch", 5),
        ("branch", ["main"]),
    ],
)
def test_a_wrong_field_is_corrupt(field: str, value: object) -> None:
    fact = Requested(
        GitSha("a" * 40), Repository.parse("ghcr.io/o/api"), RepositoryType.CANONICAL, "main", None
    )
    assert decode("requested", encode(fact)) == fact
    with pytest.raises(LedgerCorrupt):
        decode("requested", {**encode(fact), field: value})


def test_a_missing_and_an_unknown_field_are_corrupt() -> None:
    fact = Requested(
        GitSha("a" * 40), Repository.parse("ghcr.io/o/api"), RepositoryType.CANONICAL, None, None
    )
    document = encode(fact)
    for wrong in (
        {**document, "more": 1},
        {name: value for name, value in document.items() if name != "sha"},
    ):
        with pytest.raises(LedgerCorrupt):
            decode("requested", wrong)


def test_a_stop_of_before_says_nothing_of_the_signature() -> None:
    error = PolicyViolation("why", expected="a", found="b", remedy="c")
    repository = Repository.parse("ghcr.io/o/api")
    fact = Stopped.by(error, sha=GitSha("a" * 40), repository=repository, command="deploy", stage="x")
    document = encode(fact)
    assert not any(name.startswith("signature") for name in document)
    assert decode("stopped", document) == fact


def test_an_anchor_of_before_has_no_bundle() -> None:
    fact = Anchored(Repository.parse("ghcr.io/o/api"), 1, "00", "a note", Digest("sha256:" + "a" * 64))
    document = {name: value for name, value in encode(fact).items() if name != "bundle"}
    assert decode("anchored", document) == fact
    assert encode(fact) == document, "the entry is hashed as it is written, and was written so before"
    with pytest.raises(LedgerCorrupt):
        decode("anchored", {name: value for name, value in document.items() if name != "root"})
