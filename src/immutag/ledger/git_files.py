"""How the ledger's branch looks: a README for people, and files of a hundred entries, one a line (DR-019).

A line is what `ledger export` prints. Appending changes the newest file only. Pure.
"""

import re
from collections.abc import Iterable, Iterator

from immutag.core.facts import Entry
from immutag.core.values import shown
from immutag.ledger.chain import corrupt
from immutag.ledger.export import line

FOLDER = "entries"
FILE_ENTRIES = 100
_FOLDER_FILES = 100
_PATH = re.compile(rf"{FOLDER}/([0-9]{{4,9}})/([0-9]{{2}})\.jsonl")
_HASH = re.compile(rb',"hash":"([0-9a-f]{64})"(?=,"previous":")')
README = """\
# The ledger of immutag

This branch is what happened: each release, deployment and rollback, one line a fact, in the files below
`entries`. Each line holds the hash of the one before it, and nothing is ever changed or removed.

`immutag` writes it, and `immutag ledger verify` checks it. Do not edit, rebase or force-push it: whoever has
seen it before refuses a history that does not go on from what they saw.
"""


def path_of(sequence: int) -> str:
    """The file that holds the entry with this number, from 1."""
    file = (sequence - 1) // FILE_ENTRIES
    return f"{FOLDER}/{file // _FOLDER_FILES:04}/{file % _FOLDER_FILES:02}.jsonl"


def first_of(path: str) -> int | None:
    """The number of the first entry in a file; None if it is none of ours."""
    found = _PATH.fullmatch(path)
    first = (int(found[1]) * _FOLDER_FILES + int(found[2])) * FILE_ENTRIES + 1 if found else 0
    return first if first and path_of(first) == path else None


def appended(content: bytes, entry: Entry) -> bytes:
    """The file with one entry more; a new one where the entry is its first."""
    return content + line(entry).encode() + b"\n"


def message(entry: Entry, writer: str) -> str:
    """The commit's message. `writer` is different each time, so that no two writers make one commit."""
    return (
        f"{entry.fact.type}: {entry.stream}\n\n"
        f"Ledger-Size: {entry.sequence}\nLedger-Hash: {entry.hash}\nLedger-Writer: {writer}\n"
    )


def rows(contents: Iterable[bytes], *, first: int) -> Iterator[tuple[int, str, str]]:
    """Number, text and hash of each line of these files, which begin with the entry `first`.

    Raises LedgerCorrupt for the first line that has no such form.
    """
    sequence = first
    for content in contents:
        *lines, rest = content.split(b"\n")
        if rest or not 1 <= len(lines) <= FILE_ENTRIES or (sequence - 1) % FILE_ENTRIES:
            raise corrupt(sequence, expected=f"a file of {FILE_ENTRIES} whole lines", found="another file")
        for raw in lines:
            yield _row(raw, sequence)
            sequence += 1


def _row(raw: bytes, sequence: int) -> tuple[int, str, str]:
    """The line without its hash is the text. A quote within a text is escaped, so nothing but the field reads
    like it; that the rest is in its one form, and has this hash, is seen when it is unsealed."""
    found = _HASH.findall(raw)
    try:
        if len(found) == 1:
            return sequence, _HASH.sub(b"", raw).decode(), found[0].decode()
        wrong = "a line without its hash"
    except UnicodeDecodeError as error:
        wrong = str(error)
    raise corrupt(sequence, expected="a line as `ledger export` writes it", found=shown(wrong))
