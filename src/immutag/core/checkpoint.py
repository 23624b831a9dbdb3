"""Signed notes and checkpoints: how a log's head is written and signed (C2SP signed-note, tlog-checkpoint).

The form only: who may sign, and whether a signature holds, is asked elsewhere (`trust.signing.note`). Pure.
"""

import base64
import binascii
import re
from typing import NoReturn

from immutag.core.errors import ConfigInvalid
from immutag.core.frozen import frozen
from immutag.core.merkle import HASH_BYTES
from immutag.core.values import Repository, shown

LIMIT_BYTES = 256 * 1024
"""Of a note: more than sixteen signatures of the largest kind take."""
KEY_ID_BYTES = 4
_SIGNATURES = 64
_DASH = "— "
_SIZE = re.compile(r"0|[1-9][0-9]{0,15}")


@frozen()
class NoteSignature:
    """A line below a note. Name and id only say which key to try."""

    name: str
    key_id: bytes
    value: bytes

    def __str__(self) -> str:
        return f"{_DASH}{self.name} {base64.b64encode(self.key_id + self.value).decode()}"


@frozen()
class Note:
    """A text, its last newline included, and at least one signature over it. Nothing is verified."""

    text: str
    signatures: tuple[NoteSignature, ...]

    def encode(self) -> str:
        """The note as it is kept and handed on."""
        return f"{self.text}\n" + "".join(f"{signature}\n" for signature in self.signatures)


@frozen()
class TreeHead:
    """What a checkpoint says: whose log, how many entries, and the root hash over them."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """The text of its note."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


def origin_of(canonical: Repository) -> str:
    """What a service's ledger is called in its checkpoints, and the name of the key that signs them."""
    return f"immutag/{canonical}"


def is_note(content: str) -> bool:
    """Whether this is a text with signatures below it, not the bare text of a tree head."""
    return "\n\n" in content


def parse_note(content: bytes) -> Note:
    """A note from bytes of others. Raises ConfigInvalid."""
    if len(content) > LIMIT_BYTES:
        _refuse(f"at most {LIMIT_BYTES} bytes", f"{len(content)} bytes")
    try:
        whole = content.decode()
    except UnicodeDecodeError as error:
        _refuse("UTF-8", str(error))
    if any(char < " " and char != "\n" for char in whole):
        _refuse("no control characters", "one")
    text, found, below = whole.rpartition("\n\n")
    if not found or not below.endswith("\n"):
        _refuse("a text, an empty line, and lines with signatures", whole[-80:])
    lines = below[:-1].split("\n")
    if len(lines) > _SIGNATURES:
        _refuse(f"at most {_SIGNATURES} signatures", str(len(lines)))
    return Note(f"{text}\n", tuple(_signature(line) for line in lines))


def parse_tree_head(text: str) -> TreeHead:
    """What a note's text says, if it is a checkpoint. Lines that extend it are left unread, as the
    specification allows. Raises ConfigInvalid."""
    origin, *rest = text.removesuffix("\n").split("\n")
    if len(rest) < 2 or not text.endswith("\n") or not all((origin, *rest)):
        _refuse("three lines or more: origin, size, root hash", text)
    size, root = rest[0], _base64(rest[1])
    if not _SIZE.fullmatch(size):
        _refuse("a number of entries in decimal", size)
    if len(root) != HASH_BYTES:
        _refuse(f"a root hash of {HASH_BYTES} bytes", rest[1])
    return TreeHead(origin, int(size), root)


def is_key_name(name: str) -> bool:
    """Whether a note can name a key so."""
    return bool(name) and "+" not in name and not any(char.isspace() or char < " " for char in name)


def _signature(line: str) -> NoteSignature:
    name, _, value = line.removeprefix(_DASH).partition(" ")
    if not line.startswith(_DASH) or not is_key_name(name):
        _refuse(f"{_DASH}NAME SIGNATURE", line)
    raw = _base64(value)
    if len(raw) <= KEY_ID_BYTES:
        _refuse("a key id and a signature", value)
    return NoteSignature(name, raw[:KEY_ID_BYTES], raw[KEY_ID_BYTES:])


def _base64(text: str) -> bytes:
    """In its one canonical form."""
    try:
        raw = base64.b64decode(text.encode(), validate=True)
    except binascii.Error:
        raw = b""
    if not raw or base64.b64encode(raw).decode() != text:
        _refuse("base64", text)
    return raw


def _refuse(expected: str, found: str) -> NoReturn:
    raise ConfigInvalid(
        "not a signed checkpoint",
        expected=expected,
        found=shown(found) or "nothing",
        remedy="immutag ledger anchor, which signs one and keeps it in the registry",
    )
