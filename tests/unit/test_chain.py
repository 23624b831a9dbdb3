"""The chain: canonical text as RFC 8785 has it, and every break of the chain is seen and named."""

import hashlib
import json

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from immutag.core.errors import ConfigInvalid, LedgerCorrupt
from immutag.core.facts import Entry, Fact, Held, Stream
from immutag.core.frozen import replace
from immutag.core.values import EnvironmentName, Repository
from immutag.ledger import Checkpoint
from immutag.ledger.chain import START, canonical, follow, seal, unseal
from immutag.ledger.export import line
from tests.parts.facts import FACTS, LARGEST, STREAMS, chained

STREAM = Stream("environment:a")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-LARGEST, LARGEST) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="ascii")), inner),
    max_leaves=20,
)


def held(reason: str) -> Held:
    return Held(Repository.parse("ghcr.io/o/api"), EnvironmentName("production"), reason, None)


def rows(pairs: list[tuple[Stream, Fact]]) -> list[tuple[int, str, str]]:
    return [(entry.sequence, text, entry.hash) for entry, text in chained(pairs)]


@given(document=JSON)
def test_the_text_is_what_another_rfc_8785_writes(document: object) -> None:
    assert canonical(document).encode() == rfc8785.dumps(document)  # type: ignore[arg-type] # any JSON


@pytest.mark.parametrize(
    "document",
    [
        1.5,
        float("nan"),
        LARGEST + 1,
        -LARGEST - 1,
        "\ud800",
        {"\ud800": 1},
        {"é": 1},
        {1: 2},
        b"x",
        (1,),
        {1},
    ],
)
def test_what_readers_differ_about_is_refused(document: object) -> None:
    with pytest.raises(ValueError):
        canonical([document])


@given(fact=FACTS)
def test_an_entry_comes_back_from_its_text(fact: Fact) -> None:
    [(entry, text)] = chained([(STREAM, fact)])
    assert unseal(text, entry.hash) == entry


@given(fact=FACTS)
def test_anybody_can_check_a_line_with_sha256_and_rfc_8785(fact: Fact) -> None:
    [(entry, _)] = chained([(STREAM, fact)])
    document = json.loads(line(entry))
    hash = document.pop("hash")
    assert hashlib.sha256(b"\0" + rfc8785.dumps(document)).hexdigest() == hash == entry.hash


@given(fact=FACTS, position=st.integers(min_value=0), bit=st.integers(0, 7))
def test_a_flipped_bit_is_seen(fact: Fact, position: int, bit: int) -> None:
    [(entry, text)] = chained([(STREAM, fact)])
    raw = bytearray(text.encode())
    raw[position % len(raw)] ^= 1 << bit
    with pytest.raises(LedgerCorrupt):
        unseal(raw.decode(errors="surrogateescape"), entry.hash)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace('"schema":1', '"schema":2'),
        lambda text: text.replace('"schema":1', '"schema":true'),
        lambda text: text.replace('"version":1', '"version":true'),
        lambda text: text.replace('"version":1', '"version":1.0'),
        lambda text: text.replace('"sequence":1', '"sequence":01'),
        lambda text: text.replace("T03:", "T3:"),
        lambda text: text.replace('"type":"held"', '"type":"healthy"'),
        lambda text: text.replace('"type":"held"', '"type":[]'),
        lambda text: text.replace(",", ", ", 1),
        lambda text: text.replace("why", "\\u0077hy"),
        lambda text: text.replace('{"actor":"tester@here"', '{"actor":"x","actor":"tester@here"'),
        lambda text: text.replace('"fact":{', '"fact":{"more":1,'),
        lambda text: text.replace('"fact":', '"other":'),
        lambda text: text.replace('"why"', "NaN"),
        lambda text: text.replace('"why"', "9" * 5000),
        lambda text: text.replace('"why"', "[" * 100_000),
        lambda text: text.replace("why", "\\ud800"),
        lambda text: text + " ",
        lambda text: "[]",
        lambda text: "",
    ],
)
def test_a_text_that_no_entry_has_is_corrupt_also_with_the_right_hash(change) -> None:  # type: ignore[no-untyped-def] # a table of lambdas
    [(_, text)] = chained([(STREAM, held("why"))])
    other = change(text)
    assert other != text
    with pytest.raises(LedgerCorrupt) as stopped:
        unseal(other, hashlib.sha256(b"\0" + other.encode()).hexdigest(), at=17)
    assert "entry 17" in stopped.value.message and stopped.value.found.startswith("entry 17: ")


@pytest.mark.parametrize(
    ("old", "new", "newer"),
    [
        ('"schema":1', '"schema":2', True),
        ('"fact":{', '"fact":{"a":1,', True),
        ('"type":"held"', '"type":"hoped"', True),
        (",", ", ", False),
    ],
)
def test_an_entry_that_a_newer_version_may_have_written_is_no_reason_to_put_back_a_copy(
    old: str, new: str, newer: bool
) -> None:
    [(_, text)] = chained([(STREAM, held("why"))])
    other = text.replace(old, new, 1)
    with pytest.raises(LedgerCorrupt) as stopped:
        unseal(other, hashlib.sha256(b"\0" + other.encode()).hexdigest())
    assert ("a newer immutag" in stopped.value.remedy, "restore" in stopped.value.remedy) == (
        newer,
        not newer,
    )


@given(text=st.text(), hash=st.text())
def test_garbage_is_corrupt_and_nothing_else(text: str, hash: str) -> None:
    with pytest.raises(LedgerCorrupt):
        unseal(text, hash)
    with pytest.raises(LedgerCorrupt):
        unseal(text, hashlib.sha256(b"\0" + text.encode()).hexdigest())


@settings(max_examples=40)
@given(pairs=st.lists(st.tuples(STREAMS, FACTS), max_size=8), cut=st.integers(0, 8))
def test_a_chain_is_followed_from_any_of_its_entries(pairs: list[tuple[Stream, Fact]], cut: int) -> None:
    made = chained(pairs)
    assert list(follow(rows(pairs))) == [entry for entry, _ in made]
    cut = min(cut, len(made))
    start = Checkpoint(cut, made[cut - 1][0].hash) if cut else START
    assert list(follow(rows(pairs)[cut:], after=start)) == [entry for entry, _ in made[cut:]]


@settings(max_examples=60)
@given(
    pairs=st.lists(st.tuples(STREAMS, FACTS), min_size=3, max_size=8),
    at=st.integers(min_value=0),
    what=st.sampled_from(["remove", "swap", "double", "renumber"]),
)
def test_the_first_bad_entry_is_named(pairs: list[tuple[Stream, Fact]], at: int, what: str) -> None:
    good = rows(pairs)
    at %= len(good) - 1
    bad = list(good)
    if what == "remove":
        del bad[at]
    elif what == "swap":
        bad[at], bad[at + 1] = bad[at + 1], bad[at]
    elif what == "double":
        bad.insert(at, bad[at])
        at += 1
    else:
        bad = [(number, text, hash) for number, (_, text, hash) in enumerate(good[:at] + good[at + 1 :], 1)]
    seen: list[Entry] = []
    with pytest.raises(LedgerCorrupt) as stopped:
        seen.extend(follow(bad))
    assert stopped.value.found.startswith(f"entry {at + 1}:")


def resealed(changes: dict[str, object]) -> list[tuple[int, str, str]]:
    """Three entries, the last sealed again with something changed: its own hash is right."""
    made = chained([(STREAM, held(reason)) for reason in "abc"])
    last = replace(made[2][0], **changes)
    entry, text = seal(
        sequence=last.sequence,
        stream=last.stream,
        version=last.version,
        time=last.time,
        actor=last.actor,
        previous=last.previous,
        fact=last.fact,
    )
    return [*((each.sequence, its, each.hash) for each, its in made[:2]), (3, text, entry.hash)]


@pytest.mark.parametrize(
    "changes",
    [
        {"sequence": 4},
        {"version": 4},
        {"version": 2},
        {"stream": Stream("another")},
        {"previous": "0" * 64},
        {"time": "2026-01-02T03:04:01.000Z"},
    ],
    ids=str,
)
def test_an_entry_that_does_not_go_on_from_the_one_before_is_named(changes: dict[str, object]) -> None:
    assert len(list(follow(resealed({})))) == 3
    with pytest.raises(LedgerCorrupt, match="entry 3"):
        list(follow(resealed(changes)))


def test_text_that_is_not_unicode_is_refused_in_words() -> None:
    with pytest.raises(ConfigInvalid) as stopped:
        chained([(STREAM, held("\udcff"))])
    assert "UTF-8" in stopped.value.remedy
