"""Proofs and checkpoints that were altered on the way: none holds, and none makes another error."""

import base64
import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

import immutag
from immutag.core.checkpoint import TreeHead, parse_note, parse_tree_head
from immutag.core.errors import ConfigInvalid, ImmutagError, LedgerCorrupt
from immutag.core.facts import Stream
from immutag.core.known_head import KnownHead
from immutag.core.merkle import Tree, leaf_hash, node_hash, root_of
from immutag.core.provenance import LEDGER_HEAD
from immutag.core.statement import VERIFICATION_SUMMARY, Statement, Subject
from immutag.core.values import Digest, Repository
from immutag.ledger.proof import Inclusion, ProvedEntry
from immutag.ledger.sqlite import SqliteLedger
from immutag.trust.rule import TrustRule
from immutag.trust.signing.key_signer import KeySigner
from immutag.trust.signing.note import sign_note
from immutag.trust.signing.private_key import PrivateKey, parse_private_key
from immutag.usecases.anchor import sign_head
from immutag.usecases.check_proof import check_proof
from immutag.usecases.known_heads import in_file
from immutag.usecases.prove import prove, prove_consistency
from immutag.usecases.trusting import Trusting
from tests.contracts.test_ledger import held
from tests.parts.facts import chained
from tests.parts.keys import a_key, new_key, private_pem

SERVICE = Repository.parse("ghcr.io/o/api")
ORIGIN = "immutag/ghcr.io/o/api"
RELEASE = Stream("release:ghcr.io/o/api:" + "a" * 40)
SCHEMA = json.loads((Path(immutag.__file__).parent / "schemas" / "proof.json").read_text())
Document = dict[str, Any]


def key(kind: str = "P-256", *, fresh: bool = False) -> PrivateKey:
    made = new_key(kind) if fresh else a_key(kind)
    return parse_private_key(private_pem(made), password=lambda: b"")


KEY = key()


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqliteLedger]:
    """Nine entries, three of them of the release."""
    with SqliteLedger(tmp_path_factory.mktemp("ledger") / "l.db", actor="tester@here") as ledger:
        for n in range(3):
            ledger.append(Stream("a"), held("a"), after=n)
            ledger.append(RELEASE, held(f"release {n}"), after=n)
            ledger.append(Stream("b"), held("b"), after=n)
        yield ledger


@pytest.fixture(scope="module")
def inclusion(ledger: SqliteLedger) -> Document:
    proof = prove(RELEASE, service=SERVICE, ledger=ledger, sign=lambda head: sign_head(head, SERVICE, KEY))
    document = proof.as_document()
    jsonschema.validate(document, SCHEMA)
    return document


@pytest.fixture(scope="module")
def consistency(ledger: SqliteLedger) -> Document:
    old = TreeHead(ORIGIN, 5, root_of(ledger.leaves(5)))
    note = sign_note(old.text(), name=ORIGIN, key=KEY)
    proof = prove_consistency(
        note, service=SERVICE, ledger=ledger, sign=lambda head: sign_head(head, SERVICE, KEY)
    )
    document = proof.as_document()
    jsonschema.validate(document, SCHEMA)
    return document


def check(document: Document) -> Document:
    return check_proof(json.dumps(document).encode(), [KEY.public])


def test_untouched_they_hold(inclusion: Document, consistency: Document) -> None:
    found = check(inclusion)
    assert [entry["fact"]["reason"] for entry in found["entries"]] == ["release 0", "release 1", "release 2"]
    assert (found["origin"], found["size"], found["signer"]) == (ORIGIN, 9, KEY.public.name)
    assert (check(consistency)["begins_with"], check(consistency)["size"]) == (5, 9)


def bent(text: str) -> str:
    """The same hash with one bit changed."""
    raw = base64.b64decode(text)
    return base64.b64encode(bytes([raw[0] ^ 1]) + raw[1:]).decode()


def other_root(note: str) -> str:
    """A checkpoint with another root and the same signature."""
    head = parse_tree_head(parse_note(note.encode()).text)
    root = base64.b64encode(head.root).decode()
    return note.replace(root, bent(root))


TAMPERED_INCLUSIONS = {
    "a text": lambda d: d["entries"][1].update(
        text=d["entries"][1]["text"].replace("release 1", "release 7")
    ),
    "another form of the text": lambda d: d["entries"][1].update(text=" " + d["entries"][1]["text"]),
    "an index": lambda d: d["entries"][1].update(index=3),
    "an index past the end": lambda d: d["entries"][1].update(index=9),
    "two texts swapped": lambda d: d["entries"].reverse(),
    "an entry left out": lambda d: d["entries"].pop(1),
    "the first entry left out": lambda d: d["entries"].pop(0),
    "an entry twice": lambda d: d["entries"].append(d["entries"][2]),
    "a hash": lambda d: d["entries"][0]["proof"].__setitem__(0, bent(d["entries"][0]["proof"][0])),
    "a hash too many": lambda d: d["entries"][0]["proof"].append(d["entries"][0]["proof"][0]),
    "a hash too few": lambda d: d["entries"][0]["proof"].pop(),
    "the root": lambda d: d.update(checkpoint=other_root(d["checkpoint"])),
    "the size": lambda d: d.update(checkpoint=d["checkpoint"].replace("\n9\n", "\n8\n")),
}


@pytest.mark.parametrize("what", TAMPERED_INCLUSIONS)
def test_a_release_that_was_altered_is_not_proved(inclusion: Document, what: str) -> None:
    document = copy.deepcopy(inclusion)
    TAMPERED_INCLUSIONS[what](document)
    assert document != inclusion
    with pytest.raises(LedgerCorrupt):
        check(document)


TAMPERED_CONSISTENCIES = {
    "the old root": lambda d: d.update(old=other_root(d["old"])),
    "the new root": lambda d: d.update(new=other_root(d["new"])),
    "old and new": lambda d: d.update(old=d["new"], new=d["old"]),
    "the same twice": lambda d: d.update(new=d["old"]),
    "a hash": lambda d: d["proof"].__setitem__(0, bent(d["proof"][0])),
    "a hash too few": lambda d: d["proof"].pop(),
    "a hash too many": lambda d: d["proof"].append(d["proof"][0]),
}


@pytest.mark.parametrize("what", TAMPERED_CONSISTENCIES)
def test_a_history_that_was_altered_is_not_proved(consistency: Document, what: str) -> None:
    document = copy.deepcopy(consistency)
    TAMPERED_CONSISTENCIES[what](document)
    with pytest.raises(LedgerCorrupt):
        check(document)


def test_an_entry_of_another_stream_does_not_pass_as_the_releases(
    inclusion: Document, ledger: SqliteLedger
) -> None:
    other = prove(
        Stream("a"), service=SERVICE, ledger=ledger, sign=lambda head: sign_head(head, SERVICE, KEY)
    ).as_document()
    document = copy.deepcopy(inclusion)
    document["entries"][1] = other["entries"][1]
    with pytest.raises(LedgerCorrupt) as stopped:
        check(document)
    assert "one of a" in stopped.value.found


def test_a_node_does_not_pass_as_an_entry(inclusion: Document) -> None:
    """Leaves and nodes are hashed differently, so the bytes below a node are no entry."""
    left, right = leaf_hash(b"x"), leaf_hash(b"y")
    assert leaf_hash(left + right) != node_hash(left, right)
    document = copy.deepcopy(inclusion)
    document["entries"][0]["text"] = "\x01" + document["entries"][0]["text"]
    with pytest.raises(LedgerCorrupt):
        check(document)


def test_a_ledger_that_was_signed_in_another_order_proves_nothing() -> None:
    (one, text), (two, _) = chained([(Stream("a"), held("1")), (Stream("b"), held("2"))])
    tree = Tree([bytes.fromhex(two.hash), bytes.fromhex(one.hash)])
    note = sign_note(TreeHead(ORIGIN, 2, tree.root(2)).text(), name=ORIGIN, key=KEY)
    proof = Inclusion(note, (ProvedEntry(text, 1, tuple(tree.inclusion(1, 2))),))
    with pytest.raises(LedgerCorrupt) as stopped:
        check(proof.as_document())
    assert stopped.value.found == "a text that says that it is entry 1"


def test_checkpoints_of_two_ledgers_are_not_one_history(consistency: Document, ledger: SqliteLedger) -> None:
    head = parse_tree_head(parse_note(consistency["old"].encode()).text)
    other = TreeHead("immutag/ghcr.io/o/other", head.size, head.root)
    document = {**consistency, "old": sign_note(other.text(), name=other.origin, key=KEY).encode()}
    with pytest.raises(LedgerCorrupt) as stopped:
        check(document)
    assert "ghcr.io/o/other" in stopped.value.expected + stopped.value.found


def test_a_checkpoint_by_another_key_is_not_taken(inclusion: Document) -> None:
    with pytest.raises(ConfigInvalid, match="none of the keys"):
        check_proof(json.dumps(inclusion).encode(), [key(fresh=True).public])
    head = parse_tree_head(parse_note(inclusion["checkpoint"].encode()).text)
    note = sign_note(head.text(), name="another.name", key=KEY)
    with pytest.raises(ConfigInvalid, match="none of the keys"):
        check({**inclusion, "checkpoint": note.encode()})


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff",
        b'{"kind":"immutag-inclusion-v1"}',
        b'{"kind":"immutag-inclusion-v1","checkpoint":"\\ud800","entries":[{}]}',
        b'{"kind":"immutag-inclusion-v1","checkpoint":"x","entries":[]}',
        b'{"kind":"immutag-inclusion-v1","kind":"immutag-inclusion-v1","checkpoint":"x","entries":[{}]}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_proof_is_refused_as_such(content: bytes) -> None:
    with pytest.raises(ConfigInvalid):
        check_proof(content, [KEY.public])


@given(data=st.data())
def test_no_damage_makes_another_error(inclusion: Document, data: st.DataObject) -> None:
    content = bytearray(json.dumps(inclusion).encode())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    try:
        found = check_proof(bytes(content), [KEY.public])
    except ImmutagError as error:
        assert error.exit_status in (21, 22)
    else:
        assert found == check(inclusion)  # whatever was touched, it says nothing else


# --- attestations that hold a head


def bundle(predicate: Document, signer: PrivateKey = KEY) -> bytes:
    statement = Statement((Subject("", Digest("sha256:" + "d" * 64), {}),), VERIFICATION_SUMMARY, predicate)
    return KeySigner(signer).bundle(statement.encode())


def trusting(*keys: PrivateKey) -> Trusting:
    def nobody() -> Any:
        raise AssertionError("no root of trust is needed for a key")

    return Trusting(TrustRule(tuple(each.public for each in keys)), nobody, SERVICE, ORIGIN)


HEAD = {"size": 7, "hash": "ab" * 32}


def test_a_signed_attestation_holds_a_head() -> None:
    [head] = in_file(bundle({LEDGER_HEAD: HEAD}), "kept.json", trusting(KEY))
    assert head == KnownHead(7, "ab" * 32, None, f"kept.json, signed by {KEY.public.name}")


def test_an_attestation_counts_only_by_somebody_trusted_and_only_untouched() -> None:
    content = bundle({LEDGER_HEAD: HEAD})
    with pytest.raises(ConfigInvalid, match="nothing to hold the ledger against"):
        in_file(content, "kept.json", trusting(key(fresh=True)))
    with pytest.raises(ConfigInvalid, match="nothing to hold the ledger against"):
        in_file(content, "kept.json", trusting())
    with pytest.raises(ConfigInvalid) as stopped:
        in_file(bundle({}), "kept.json", trusting(KEY))
    assert stopped.value.found == "one that holds none"
    document = json.loads(content)
    payload = base64.b64decode(document["dsseEnvelope"]["payload"]).replace(b'"size":7', b'"size":6')
    document["dsseEnvelope"]["payload"] = base64.b64encode(payload).decode()
    with pytest.raises(LedgerCorrupt, match="not what was signed"):
        in_file(json.dumps(document).encode(), "kept.json", trusting(KEY))


@given(
    content=st.binary(max_size=200)
    | st.text(max_size=80).map(lambda text: f"dsseEnvelope {text}\n\n— ".encode())
)
def test_no_foreign_file_makes_another_error(content: bytes) -> None:
    with pytest.raises(ConfigInvalid):
        in_file(content, "kept", trusting(KEY))
