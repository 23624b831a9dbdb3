"""Signing notes, and telling whose they are (C2SP signed-note).

How each kind of key is named and signs is as other tools have it: Ed25519 as the specification says; ECDSA as
Rekor and the witnesses do, named by the hash of the key itself; RSA as Rekor does, which the specification
leaves to whoever uses it. A note's text can be no DSSE envelope's and no simple signing payload: those begin
with `DSSEv1` and `{`, ours with its origin.
"""

import hashlib
from collections.abc import Iterable

from immutag.core.checkpoint import KEY_ID_BYTES, Note, NoteSignature
from immutag.core.errors import LedgerCorrupt
from immutag.core.values import shown
from immutag.trust.public_key import PublicKey
from immutag.trust.signing.key_signer import Key

_ED25519_PREFIX = bytes.fromhex("302a300506032b6570032100")
_RSA_OID = bytes.fromhex("06092a864886f70d010101")
_ED25519, _ECDSA, _OTHER = b"\x01", b"\x02", b"\xff"
_RSA = b"PKIX-RSA-PKCS#1v1.5"


def sign_note(text: str, *, name: str, key: Key) -> Note:
    """The note with this text, signed by the key under a name. Raises SoftVerifyToolError where the key is a
    program's, and that fails."""
    return Note(text, (NoteSignature(name, key_id(name, key.public), key.sign(text.encode())),))


def signer_of(note: Note, *, name: str, keys: Iterable[PublicKey]) -> PublicKey | None:
    """Which of the keys signed the note under this name; `None` if none of them did.

    Signatures by others are left alone, as the specification says. Raises LedgerCorrupt for one that says
    that it is by a key which did not make it.
    """
    known = {key_id(name, key): key for key in keys}
    found: PublicKey | None = None
    for signature in note.signatures:
        key = known.get(signature.key_id) if signature.name == name else None
        if key is None:
            continue
        if not key.verify(signature.value, note.text.encode()):
            raise LedgerCorrupt(
                "the checkpoint is not what was signed",
                expected=f"a signature by {key.name}",
                found=f"one under its name that it did not make, over {shown(note.text)}",
                remedy="take the checkpoint from where it was kept first: it was altered on the way",
            )
        found = found or key
    return found


def key_id(name: str, key: PublicKey) -> bytes:
    """The four bytes that a signature line names the key by."""
    kind, material = _encoding(key)
    named = material if kind == _ECDSA else name.encode() + b"\n" + kind + material
    return hashlib.sha256(named).digest()[:KEY_ID_BYTES]


def _encoding(key: PublicKey) -> tuple[bytes, bytes]:
    """The signature type and the public key, as they are hashed."""
    if key.der.startswith(_ED25519_PREFIX):
        return _ED25519, key.der.removeprefix(_ED25519_PREFIX)
    if _RSA_OID in key.der[:32]:
        return _OTHER + _RSA, key.der
    return _ECDSA, key.der
