"""The ledger's forms for other programs: one JSON object a line, and the head (contracts)."""

import json
from collections.abc import Iterator

from immutag.core.errors import ConfigInvalid
from immutag.core.facts import Entry
from immutag.core.values import shown
from immutag.ledger import Checkpoint, Ledger
from immutag.ledger.chain import EMPTY, canonical, preimage


def export(ledger: Ledger, *, after: int = 0) -> Iterator[str]:
    """Every entry after a sequence number as a line, without its newline. Raises LedgerCorrupt.

    A line without its `hash`, in RFC 8785 form, is the text that the hash is of.
    """
    for entry in ledger.entries(after=after):
        yield line(entry)


def line(entry: Entry) -> str:
    """One entry as `ledger export` prints it."""
    return canonical({**preimage(entry), "hash": entry.hash})


def checkpoint_text(head: Checkpoint) -> str:
    """A head as `ledger head` prints it."""
    return canonical({"size": head.size, "hash": head.hash})


def parse_checkpoint(text: str) -> Checkpoint:
    """A head back from what `ledger head` printed. Raises ConfigInvalid for anything else."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        document = None
    match document:
        case {"size": int(size), "hash": str(hash), **rest} if not rest and type(size) is int:
            is_hash = len(hash) == 64 and set(hash) <= set("0123456789abcdef")
            if is_hash and size >= 0 and (size == 0) == (hash == EMPTY):
                return Checkpoint(size, hash)
    raise ConfigInvalid(
        "not a ledger's head",
        expected='what `immutag ledger head` printed: {"hash": …, "size": …}',
        found=shown(text.strip()) or "nothing",
        remedy="immutag ledger head > FILE, when the ledger is known to be right",
    )
