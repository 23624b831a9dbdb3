"""Check a proof with public keys alone: no ledger, no configuration, no network (DR-017).

In this order: the form; each checkpoint, signed by a key that was given, under the name of its origin; then
the hashes, from the entries' own bytes to the root that was signed.
"""

from collections.abc import Sequence
from typing import Any

from immutag.core.checkpoint import Note, TreeHead, parse_tree_head
from immutag.core.errors import ConfigInvalid
from immutag.core.facts import Entry
from immutag.core.values import shown
from immutag.ledger.export import line
from immutag.ledger.proof import Consistency, check_consistency, check_inclusion, parse_proof
from immutag.trust.public_key import PublicKey
from immutag.trust.signing.note import signer_of

Document = dict[str, Any]


def check_proof(content: bytes, keys: Sequence[PublicKey]) -> Document:
    """What the proof shows. Raises LedgerCorrupt if it does not hold, ConfigInvalid for what is no proof, or
    is signed by none of the keys."""
    proof = parse_proof(content)
    if isinstance(proof, Consistency):
        old, _ = _signed(proof.old, keys)
        new, signer = _signed(proof.new, keys)
        check_consistency(proof, old, new)
        return {**_said(new, signer), "begins_with": old.size}
    head, signer = _signed(proof.checkpoint, keys)
    entries = check_inclusion(proof, head)
    return {
        **_said(head, signer),
        "stream": entries[0].stream.name,
        "entries": [_entry(each) for each in entries],
    }


def _signed(note: Note, keys: Sequence[PublicKey]) -> tuple[TreeHead, PublicKey]:
    head = parse_tree_head(note.text)
    signer = signer_of(note, name=head.origin, keys=keys)
    if signer is None:
        raise ConfigInvalid(
            "the checkpoint is signed by none of the keys that were given",
            expected=f"a signature for {shown(head.origin)} by {', '.join(key.name for key in keys)}",
            found=shown(", ".join(f"{each.name} {each.key_id.hex()}" for each in note.signatures)),
            remedy="give the public key of whoever keeps this ledger: --key FILE",
        )
    return head, signer


def _said(head: TreeHead, signer: PublicKey) -> Document:
    return {"origin": head.origin, "size": head.size, "root": head.root.hex(), "signer": signer.name}


def _entry(entry: Entry) -> Document:
    import json

    document: Document = json.loads(line(entry))
    return document
