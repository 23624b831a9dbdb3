"""Proofs that need no ledger: that entries are in it, and that it only ever went on (DR-017, RFC 6962).

A document holds all but the public key: entries as they were written, signed checkpoints, and the hashes
between them.
"""

import base64
import binascii
from collections.abc import Sequence
from typing import Any

from immutag.core.checkpoint import Note, TreeHead, parse_note
from immutag.core.errors import ConfigInvalid, LedgerCorrupt
from immutag.core.facts import Entry
from immutag.core.frozen import frozen
from immutag.core.merkle import HASH_BYTES, consistent, included
from immutag.core.values import shown
from immutag.ledger.chain import leaf_hash, unseal
from immutag.oci.manifest import load

_ENTRIES = 10_000
_HASHES = 64
_INCLUSION, _CONSISTENCY = "immutag-inclusion-v1", "immutag-consistency-v1"
Hashes = tuple[bytes, ...]


@frozen()
class ProvedEntry:
    """An entry's text, its number in the ledger from 0, and the hashes from it to the root."""

    text: str
    index: int
    path: Hashes


@frozen()
class Inclusion:
    """Entries, and the checkpoint of a ledger that holds them."""

    checkpoint: Note
    entries: tuple[ProvedEntry, ...]

    def as_document(self) -> dict[str, Any]:
        entries = [
            {"index": each.index, "text": each.text, "proof": _encoded(each.path)} for each in self.entries
        ]
        return {"kind": _INCLUSION, "checkpoint": self.checkpoint.encode(), "entries": entries}


@frozen()
class Consistency:
    """Two checkpoints, and the hashes that show that the new one's ledger begins with the old one's."""

    old: Note
    new: Note
    path: Hashes

    def as_document(self) -> dict[str, Any]:
        return {
            "kind": _CONSISTENCY,
            "old": self.old.encode(),
            "new": self.new.encode(),
            "proof": _encoded(self.path),
        }


def parse_proof(content: bytes) -> Inclusion | Consistency:
    """A proof from bytes of others. Raises ConfigInvalid."""
    match load(content, wrong=ConfigInvalid):
        case {"kind": str(kind), "checkpoint": str(checkpoint), "entries": list(entries), **rest} if (
            kind == _INCLUSION and not rest and 0 < len(entries) <= _ENTRIES
        ):
            return Inclusion(_note(checkpoint), tuple(_entry(each) for each in entries))
        case {"kind": str(kind), "old": str(old), "new": str(new), "proof": list(proof), **rest} if (
            kind == _CONSISTENCY and not rest
        ):
            return Consistency(_note(old), _note(new), _decoded(proof))
    raise _no_proof("a document by `immutag ledger prove`", "other fields")


def check_inclusion(proof: Inclusion, head: TreeHead) -> Sequence[Entry]:
    """The entries, if all are in the ledger with this head, and are the whole beginning of one stream.

    Raises LedgerCorrupt for the first that is not.
    """
    found: list[Entry] = []
    for each in proof.entries:
        hash = leaf_hash(each.text)
        leaf = bytes.fromhex(hash)
        if not included(leaf, index=each.index, size=head.size, proof=each.path, root=head.root):
            raise _fails(
                f"entry {each.index + 1} in the ledger with {head.size} entries",
                "hashes that do not lead to its root",
            )
        entry = unseal(each.text, hash, at=each.index + 1)
        if entry.sequence != each.index + 1:
            raise _fails(f"entry {each.index + 1}", f"a text that says that it is entry {entry.sequence}")
        if found and entry.stream != found[0].stream:
            raise _fails(f"entries of {found[0].stream}", f"one of {shown(entry.stream.name)}")
        if entry.version != len(found) + 1:
            raise _fails(f"version {len(found) + 1} of {entry.stream}", f"version {entry.version}")
        found.append(entry)
    return found


def check_consistency(proof: Consistency, old: TreeHead, new: TreeHead) -> None:
    """That the ledger with the new head begins with that with the old one. Raises LedgerCorrupt."""
    if old.origin != new.origin:
        raise _fails(f"checkpoints of one ledger, {shown(old.origin)}", shown(new.origin))
    if not consistent(old.size, old.root, new.size, new.root, proof.path):
        raise _fails(
            f"a ledger of {new.size} entries that begins with the {old.size} of the older checkpoint",
            "hashes that do not lead from one root to the other",
        )


def _fails(expected: str, found: str) -> LedgerCorrupt:
    return LedgerCorrupt(
        "the proof does not hold",
        expected=expected,
        found=found,
        remedy="ask for the proof again: it was altered, or is of another ledger than the checkpoint",
    )


def _entry(value: object) -> ProvedEntry:
    match value:
        case {"index": int(index), "text": str(text), "proof": list(proof), **rest} if not rest:
            if type(index) is int and 0 <= index < 2**53:
                return ProvedEntry(_unicode(text).decode(), index, _decoded(proof))
    raise _no_proof("an entry with `index`, `text` and `proof`", repr(value)[:200])


def _note(text: str) -> Note:
    return parse_note(_unicode(text))


def _unicode(text: str) -> bytes:
    """JSON can escape half a character."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise _no_proof("Unicode", "half a character") from None


def _encoded(path: Sequence[bytes]) -> list[str]:
    return [base64.b64encode(each).decode() for each in path]


def _decoded(values: Sequence[object]) -> Hashes:
    if len(values) > _HASHES:
        raise _no_proof(f"at most {_HASHES} hashes", str(len(values)))
    return tuple(_hash(value) for value in values)


def _hash(value: object) -> bytes:
    try:
        found = base64.b64decode(value, validate=True) if isinstance(value, str) else b""
    except (binascii.Error, ValueError):
        found = b""
    if len(found) != HASH_BYTES or base64.b64encode(found).decode() != value:
        raise _no_proof("a hash in base64", repr(value)[:200])
    return found


def _no_proof(expected: str, found: str) -> ConfigInvalid:
    return ConfigInvalid(
        "not a proof about a ledger",
        expected=expected,
        found=shown(found),
        remedy="immutag ledger prove SHA > FILE",
    )
