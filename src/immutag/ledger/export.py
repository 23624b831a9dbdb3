"""The ledger's forms for other programs: one JSON object a line, and the head (contracts)."""

from collections.abc import Iterator

from immutag.core.facts import Entry
from immutag.ledger import Ledger
from immutag.ledger.chain import canonical, preimage
from immutag.ledger.head import Head


def export(ledger: Ledger) -> Iterator[str]:
    """Every entry as a line, without its newline. Raises LedgerCorrupt.

    A line without its `hash`, in RFC 8785 form, is the text that the hash is of.
    """
    for entry in ledger.entries():
        yield line(entry)


def line(entry: Entry) -> str:
    """One entry as `ledger export` prints it."""
    return canonical({**preimage(entry), "hash": entry.hash})


def head_text(head: Head) -> str:
    """A head as `ledger head` prints it."""
    return canonical(head.as_document())
