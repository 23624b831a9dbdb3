"""The chain: canonical text, and entries that each hold the hash of the one before (DR-017). No I/O.

The text of an entry is the RFC 8785 form of all its fields but the hash; the hash is the leaf hash of
RFC 6962 over that text, so the same log can be read as a Merkle tree. The text is stored as it is and
never written again from values.
"""

import json
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from immutag.core.errors import ConfigInvalid, LedgerConflict, LedgerCorrupt
from immutag.core.facts import Entry, Fact, Stream, decode, encode
from immutag.core.frozen import replace
from immutag.core.values import shown
from immutag.ledger import Checkpoint

EMPTY = "0" * 64
SCHEMA = 1
START = Checkpoint(0, EMPTY)

Row = tuple[int, str, str]
"""What a store keeps of an entry: the number it has there, the text, the hash."""

_EVIDENCE = "keep the file as evidence"
_FIELDS = frozenset({"actor", "fact", "previous", "schema", "sequence", "stream", "time", "type", "version"})
_LARGEST = 2**53 - 1
_HASH = re.compile(r"[0-9a-f]{64}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", re.ASCII)
_encode = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode


def canonical(document: object) -> str:
    """The RFC 8785 form of what the ledger holds: no floats, integers within ±(2^53 - 1), ASCII keys.

    Raises ValueError for anything else, half of a surrogate pair included.
    """
    _check(document)
    text = _encode(document)
    text.encode()
    return text


def _check(value: object) -> None:
    """Refuse what two implementations might write differently."""
    if value is None or isinstance(value, str):
        return
    if isinstance(value, dict):
        for key, item in value.items():
            if not (isinstance(key, str) and key.isascii()):
                raise ValueError("a key that is not ASCII")
            _check(item)
    elif isinstance(value, list):
        for item in value:
            _check(item)
    elif isinstance(value, int):
        if abs(value) > _LARGEST:
            raise ValueError(f"{value} is not within ±{_LARGEST}")
    else:
        raise ValueError(f"{type(value).__name__} has no place in the ledger")  # noqa: TRY004 - as the others


def leaf_hash(text: str) -> str:
    """Of an entry's text: SHA-256 over a zero byte and the text (RFC 6962, 2.1)."""
    return sha256(b"\0" + text.encode(errors="surrogateescape")).hexdigest()


def hash_bytes(hash: object, *, at: int) -> bytes:
    """A stored hash as bytes. Raises LedgerCorrupt, naming entry `at`, for what is none."""
    if not isinstance(hash, str) or not _HASH.fullmatch(hash):
        raise corrupt(at, expected="a hash", found=shown(str(hash)))
    return bytes.fromhex(hash)


def preimage(entry: Entry) -> dict[str, Any]:
    """All fields of an entry but its hash, as they stand in the text and in an export."""
    return {
        "actor": entry.actor,
        "fact": encode(entry.fact),
        "previous": entry.previous,
        "schema": SCHEMA,
        "sequence": entry.sequence,
        "stream": entry.stream.name,
        "time": entry.time,
        "type": entry.fact.type,
        "version": entry.version,
    }


def text_of(entry: Entry) -> str:
    """The text of an entry that was sealed or unsealed, and so checked, before."""
    return _encode(preimage(entry))


def seal(
    *, sequence: int, stream: Stream, version: int, time: str, actor: str, previous: str, fact: Fact
) -> tuple[Entry, str]:
    """The entry and its text. Raises ConfigInvalid for a text that is not Unicode."""
    entry = Entry(sequence, stream, version, time, actor, previous, "", fact)
    try:
        text = canonical(preimage(entry))
    except ValueError as error:
        raise ConfigInvalid(
            "the ledger cannot hold this fact",
            expected="Unicode text, and integers that every JSON reader knows",
            found=shown(str(error)),
            remedy="check the names and reasons that were given: they must be valid UTF-8",
        ) from error
    return replace(entry, hash=leaf_hash(text)), text


def unseal(text: str, hash: str, *, at: int | None = None) -> Entry:
    """The entry back from its text, if it has this hash. Raises LedgerCorrupt, naming entry `at`."""
    if (found := leaf_hash(text)) != hash:
        raise corrupt(at, expected=f"a text with the hash {shown(hash)}", found=f"its hash is {found}")
    try:
        entry = _entry(json.loads(text), hash)
        same = canonical(preimage(entry)) == text
    except (ValueError, RecursionError) as error:
        raise _strange(at, expected="an entry of schema 1", found=shown(str(error))) from error
    except LedgerCorrupt as error:
        raise _strange(at, expected=error.expected, found=error.found) from error
    if not same:
        raise corrupt(at, expected="a text in canonical form", found="another way to write it")
    return entry


def _entry(document: object, hash: str) -> Entry:
    """Raises ValueError or LedgerCorrupt for what no entry ever was."""
    if not isinstance(document, dict) or document.keys() != _FIELDS:
        raise ValueError("its text has other fields")
    match document:
        case {
            "sequence": int(sequence), "stream": str(stream), "version": int(version), "time": str(time),
            "actor": str(actor), "previous": str(previous), "type": str(kind), "schema": int(schema),
            "fact": dict(fact),
        } if schema == SCHEMA and bool not in (type(sequence), type(version)):  # fmt: skip
            if _TIME.fullmatch(time) and _HASH.fullmatch(previous):
                happened = decode(kind, fact)
                return Entry(sequence, Stream(stream), version, time, actor, previous, hash, happened)
    raise ValueError("its fields are of other types, or of a schema that this version does not know")


def follow(rows: Iterable[Row], *, after: Checkpoint = START) -> Iterator[Entry]:
    """The entries behind `rows`, which go on from `after`: each checked, and that it continues the chain.

    Numbers and the versions of each stream have no gaps, hashes link, time never goes back. Raises
    LedgerCorrupt for the first entry that is not so.
    """
    size, previous, time = after.size, after.hash, ""
    versions: dict[Stream, int] = {}
    for number, text, hash in rows:
        size += 1
        if number != size:
            raise corrupt(size, expected=f"entry {size} after entry {size - 1}", found=f"entry {number}")
        entry = unseal(text, hash, at=size)
        version = versions.get(entry.stream, 0 if after.size == 0 else entry.version - 1) + 1
        _require("number", size, entry.sequence, at=size)
        _require("previous hash", previous, entry.previous, at=size)
        _require("version in its stream", version, entry.version, at=size)
        _require("time, which never goes back,", max(time, entry.time), entry.time, at=size)
        previous, time = entry.hash, entry.time
        versions[entry.stream] = version
        yield entry


def _require(name: str, expected: object, found: object, *, at: int) -> None:
    if expected != found:
        raise corrupt(at, expected=f"{name} {expected}", found=str(found))


def require_version(stream: Stream, after: int, version: int) -> None:
    """That the stream is at the version that the caller has seen. Raises LedgerConflict, LedgerCorrupt."""
    if after < version:
        raise LedgerConflict(
            f"somebody else was first in {stream}",
            expected=f"version {after}",
            found=f"version {version}",
            remedy="run the command again: it looks at what they did",
        )
    if after > version:
        raise corrupt(
            None, expected=f"version {after} of {stream}, as seen before", found=f"version {version}"
        )


def next_time(moment: datetime, last: Entry | None) -> str:
    """The time of an entry after the last one: it never goes back."""
    utc = moment.astimezone(UTC)
    return max(f"{utc:%Y-%m-%dT%H:%M:%S}.{utc.microsecond // 1000:03}Z", last.time if last else "")


def corrupt(at: int | None, *, expected: str, found: str) -> LedgerCorrupt:
    """The error that names the first bad entry."""
    return _bad(at, expected, found, f"{_EVIDENCE}, and restore a copy that `immutag ledger verify` accepts")


def _strange(at: int | None, *, expected: str, found: str) -> LedgerCorrupt:
    """Of a text with its right hash, which may be nobody's fault: putting back a copy would lose entries."""
    newer = "if a newer immutag writes to this ledger too, use that one everywhere; if none does, "
    return _bad(at, expected, found, newer + _EVIDENCE)


def _bad(at: int | None, expected: str, found: str, remedy: str) -> LedgerCorrupt:
    name = "an entry" if at is None else f"entry {at}"
    return LedgerCorrupt(
        f"the ledger is not what it was: {name}", expected=expected, found=f"{name}: {found}", remedy=remedy
    )
