"""Signed notes and checkpoints: read strictly, and signed as other tools verify them."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from immutag.core.checkpoint import (
    LIMIT_BYTES,
    Note,
    NoteSignature,
    TreeHead,
    origin_of,
    parse_note,
    parse_tree_head,
)
from immutag.core.errors import ConfigInvalid, LedgerCorrupt
from immutag.core.merkle import EMPTY_ROOT
from immutag.core.values import Repository
from immutag.trust.public_key import PublicKey
from immutag.trust.signing.note import key_id, sign_note, signer_of
from immutag.trust.signing.private_key import PrivateKey, parse_private_key
from tests.parts.facts import REPOSITORIES

VECTORS: list[dict[str, str]] = json.loads(
    (Path(__file__).parents[1] / "vectors" / "notes" / "notes.json").read_text()
)
ED25519_DER = bytes.fromhex("302a300506032b6570032100")
ORIGIN = origin_of(Repository.parse("ghcr.io/o/api"))
ROOT64 = base64.b64encode(EMPTY_ROOT).decode()
TEXT = TreeHead(ORIGIN, 7, EMPTY_ROOT).text()


def private(key: Any) -> PrivateKey:
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return parse_private_key(pem, password=lambda: b"")


KEYS = {
    "ed25519": private(ed25519.Ed25519PrivateKey.generate()),
    "p256": private(ec.generate_private_key(ec.SECP256R1())),
    "p384": private(ec.generate_private_key(ec.SECP384R1())),
    "rsa": private(rsa.generate_private_key(65537, 2048)),
}


def key_of(vkey: str) -> tuple[str, PublicKey]:
    """Name and key of a verifier key, as the specification writes them."""
    name, _, material = vkey.split("+", 2)
    raw = base64.b64decode(material)
    return name, PublicKey(ED25519_DER + raw[1:] if raw[0] == 1 else raw[1:])


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["source"])
def test_published_notes_verify_with_their_published_keys(vector: dict[str, str]) -> None:
    name, key = key_of(vector["vkey"])
    note = parse_note(vector["note"].encode())
    assert key_id(name, key).hex() == vector["vkey"].split("+", 2)[1]
    assert signer_of(note, name=name, keys=[KEYS["p256"].public, key]) == key
    assert note.encode() == vector["note"]
    assert signer_of(note, name="bananas", keys=[key]) is None
    with pytest.raises(LedgerCorrupt, match="not what was signed"):
        signer_of(Note("another text\n", note.signatures), name=name, keys=[key])


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_what_is_signed_comes_back_and_verifies(key: PrivateKey) -> None:
    note = sign_note(TEXT, name=ORIGIN, key=key)
    again = parse_note(note.encode().encode())
    assert again == note
    assert parse_tree_head(again.text) == TreeHead("immutag/ghcr.io/o/api", 7, EMPTY_ROOT)
    assert signer_of(again, name=ORIGIN, keys=[each.public for each in KEYS.values()]) == key.public
    assert signer_of(again, name=ORIGIN, keys=[]) is None
    others = [each.public for each in KEYS.values() if each is not key]
    assert signer_of(again, name=ORIGIN, keys=others) is None


def test_each_kind_of_key_is_named_as_other_tools_name_it() -> None:
    rekor, pixel = key_of(VECTORS[1]["vkey"])[1], key_of(VECTORS[2]["vkey"])[1]
    assert key_id("any name", rekor).hex() == "c0d23d6a"
    assert key_id("another", pixel).hex() == "91c16e30"
    example = key_of(VECTORS[0]["vkey"])[1]
    assert key_id("example.com/foo", example).hex() == "530d903a"
    assert key_id("example.com/bar", example).hex() != "530d903a"
    assert len({key_id("x", key.public) for key in KEYS.values()} | {key_id("y", KEYS["rsa"].public)}) == 5


def test_signatures_by_others_are_left_alone() -> None:
    ours = sign_note(TEXT, name=ORIGIN, key=KEYS["p256"])
    witness = NoteSignature("witness.example", b"abcd", b"anything")
    impostor = NoteSignature("witness.example", ours.signatures[0].key_id, b"same id, another name")
    note = parse_note(Note(TEXT, (witness, impostor, *ours.signatures)).encode().encode())
    assert signer_of(note, name=ORIGIN, keys=[KEYS["p256"].public]) == KEYS["p256"].public


def test_one_false_signature_under_a_known_name_spoils_the_note() -> None:
    ours = sign_note(TEXT, name=ORIGIN, key=KEYS["p256"]).signatures[0]
    false = NoteSignature(ours.name, ours.key_id, ours.value[:-1] + bytes([ours.value[-1] ^ 1]))
    for signatures in ((ours, false), (false, ours), (false,)):
        with pytest.raises(LedgerCorrupt):
            signer_of(Note(TEXT, signatures), name=ORIGIN, keys=[KEYS["p256"].public])


LINE = "— name " + base64.b64encode(b"1234signature").decode()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        TEXT.encode(),
        f"{TEXT}\n".encode(),
        f"{TEXT}{LINE}\n".encode(),  # no empty line
        f"{TEXT}\n{LINE}".encode(),  # no last newline
        f"{TEXT}\n{LINE}\n\n".encode(),
        f"{TEXT}\n{LINE}\r\n".encode(),
        f"{TEXT}\n{LINE}\nmore\n".encode(),
        f"{TEXT}\n{LINE.replace('—', '-')}\n".encode(),
        f"{TEXT}\n{LINE.replace('name', 'na+me')}\n".encode(),
        f"{TEXT}\n{LINE.replace('name', 'na me')}\n".encode(),
        f"{TEXT}\n{LINE}\n".replace("name", "na\u2003me").encode(),
        f"{TEXT}\n{LINE.replace('name ', '')}\n".encode(),
        f"{TEXT}\n— name \n".encode(),
        f"{TEXT}\n— name MTIzNA==\n".encode(),  # an id without a signature
        f"{TEXT}\n— name MTIzNDV=\n".encode(),  # bits that no encoder leaves
        f"{TEXT}\n— name MTIzNDU\n".encode(),
        f"\x1b[2J{TEXT}\n{LINE}\n".encode(),
        f"a\0b\n\n{LINE}\n".encode(),
        b"\xff\xfe\n\n" + f"{LINE}\n".encode(),
        f"{TEXT}\n".encode() + f"{LINE}\n".encode() * 65,
        b"x" * LIMIT_BYTES + f"\n\n{LINE}\n".encode(),
    ],
)
def test_what_is_no_note_is_refused(content: bytes) -> None:
    with pytest.raises(ConfigInvalid, match="not a signed checkpoint"):
        parse_note(content)


def test_a_note_may_have_empty_lines_and_many_signatures() -> None:
    note = parse_note(f"a\n\nb\n\n{LINE}\n".encode() + f"{LINE}\n".encode() * 15)
    assert (note.text, len(note.signatures)) == ("a\n\nb\n", 16)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "origin\n7\n",
        f"origin\n7\n{ROOT64}",
        f"\n7\n{ROOT64}\n",
        f"origin\n07\n{ROOT64}\n",
        f"origin\n-7\n{ROOT64}\n",
        f"origin\n+7\n{ROOT64}\n",
        f"origin\n7.0\n{ROOT64}\n",
        f"origin\n٧\n{ROOT64}\n",
        f"origin\n{'9' * 17}\n{ROOT64}\n",
        "origin\n7\nMTIzNDU=\n",
        f"origin\n7\n{ROOT64[:-1]}\n",
        f"origin\n7\n{ROOT64} \n",
        f"origin\n7\n{ROOT64}\n\nextension\n",
    ],
)
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(ConfigInvalid, match="not a signed checkpoint"):
        parse_tree_head(text)


def test_a_checkpoint_may_be_empty_and_may_be_extended() -> None:
    assert parse_tree_head(f"origin\n0\n{ROOT64}\n") == TreeHead("origin", 0, EMPTY_ROOT)
    assert parse_tree_head(f"origin\n7\n{ROOT64}\nextension\nanother\n") == TreeHead("origin", 7, EMPTY_ROOT)


@given(repository=REPOSITORIES, size=st.integers(0, 2**53), root=st.binary(min_size=32, max_size=32))
def test_every_head_can_be_signed_and_read_again(repository: Repository, size: int, root: bytes) -> None:
    head = TreeHead(origin_of(repository), size, root)
    note = sign_note(head.text(), name=head.origin, key=KEYS["ed25519"])
    again = parse_note(note.encode().encode())
    assert parse_tree_head(again.text) == head
    assert signer_of(again, name=head.origin, keys=[KEYS["ed25519"].public]) is not None


PIECES = st.sampled_from(
    [TEXT, "\n", "\n\n", LINE, "— ", "name", " ", "7", ROOT64, "=", "\u2003", "\x1b", "é"]
)


@given(content=st.binary(max_size=300) | st.lists(PIECES, max_size=9).map(lambda all: "".join(all).encode()))
def test_no_foreign_bytes_make_another_error(content: bytes) -> None:
    try:
        note = parse_note(content)
        assert parse_note(note.encode().encode()) == note
        assert note.encode().encode() == content
        parse_tree_head(note.text)
    except ConfigInvalid as error:
        assert error.found.isprintable()
