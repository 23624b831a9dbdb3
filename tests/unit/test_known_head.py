"""A ledger's head as others have it: what was printed, and what attestations hold."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from immutag.core.errors import ConfigInvalid
from immutag.core.known_head import KnownHead, heads_in, parse_head
from immutag.core.merkle import EMPTY_ROOT
from immutag.ledger.chain import EMPTY
from immutag.ledger.export import head_text
from immutag.ledger.head import Head

A, B = "a" * 64, "b" * 64
NAME = "urn:immutag:ledger-head:v1"


@given(
    size=st.integers(0, 2**53 - 1),
    hash=st.binary(min_size=32, max_size=32).filter(any),
    root=st.binary(min_size=32, max_size=32),
)
def test_a_head_comes_back_from_its_text(size: int, hash: bytes, root: bytes) -> None:
    head = Head(size, hash.hex(), root) if size else Head(0, EMPTY, EMPTY_ROOT)
    assert parse_head(head_text(head) + "\n", "x") == KnownHead(head.size, head.hash, head.root, "x")


def test_a_head_that_was_kept_before_there_were_roots_is_one() -> None:
    assert parse_head(f'{{"hash":"{A}","size":7}}', "x") == KnownHead(7, A, None, "x")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{}",
        '{"size":1}',
        f'{{"size":true,"hash":"{A}"}}',
        f'{{"size":0,"hash":"{A}"}}',
        f'{{"size":1,"hash":"{EMPTY}"}}',
        f'{{"size":-1,"hash":"{A}"}}',
        f'{{"size":1.0,"hash":"{A}"}}',
        f'{{"size":"01","hash":"{A}"}}',
        f'{{"size":1,"hash":"{A.upper()}"}}',
        f'{{"size":1,"hash":"{A}","root":"b"}}',
        f'{{"size":1,"hash":"{A}","root":7}}',
        f'{{"size":1,"hash":"{A}","root":"{EMPTY_ROOT.hex()}"}}',
        f'{{"size":0,"hash":"{EMPTY}","root":"{A}"}}',
        f'{{"size":1,"hash":"{A}","more":1}}',
        "[" * 100_000,
    ],
)
def test_what_is_no_head_is_refused(text: str) -> None:
    with pytest.raises(ConfigInvalid):
        parse_head(text, "x")


def test_a_summarys_head_and_a_provenances_byproduct_are_found() -> None:
    product = {"name": "ledger-head", "uri": NAME, "annotations": {"size": "12", "hash": B}}
    predicate = {NAME: {"size": 7, "hash": A}, "runDetails": {"byproducts": [{"uri": "else"}, product]}}
    assert list(heads_in(predicate, NAME, "x")) == [KnownHead(7, A, None, "x"), KnownHead(12, B, None, "x")]


@pytest.mark.parametrize(
    "predicate",
    [
        {},
        {NAME: None},
        {NAME: [1]},
        {NAME: {"size": "seven", "hash": A}},
        {NAME: {"size": 7}},
        {"runDetails": []},
        {"runDetails": {"byproducts": {}}},
        {"runDetails": {"byproducts": [None, 1, {"uri": NAME}, {"uri": NAME, "annotations": 1}]}},
    ],
)
def test_a_predicate_without_a_head_has_none(predicate: dict[str, Any]) -> None:
    assert list(heads_in(predicate, NAME, "x")) == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(A),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["size", "hash", "root", NAME, "runDetails", "byproducts", "uri"]), inner
        )
    ),
    max_leaves=12,
)


@given(document=JSON)
def test_no_foreign_document_makes_another_error(document: Any) -> None:
    if isinstance(document, dict):
        list(heads_in(document, NAME, "x"))
    with contextlib.suppress(ConfigInvalid):
        parse_head(json.dumps(document), "x")
