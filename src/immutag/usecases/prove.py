"""Proofs for somebody without the ledger: that a release is in it, that it only ever went on (DR-017).

Under the newest checkpoint that was left outside and covers what is to be proved; under a new one where none
does. Nothing is written.
"""

from collections.abc import Callable

from immutag.core.checkpoint import Note, TreeHead, is_note, parse_note, parse_tree_head
from immutag.core.errors import LedgerCorrupt
from immutag.core.facts import Anchored, Stream
from immutag.core.merkle import Tree
from immutag.core.values import Repository
from immutag.ledger import Ledger
from immutag.ledger.chain import canonical, preimage
from immutag.ledger.head import Head, head_of
from immutag.ledger.proof import Consistency, Inclusion, ProvedEntry

Sign = Callable[[Head], Note]


def prove(stream: Stream, *, service: Repository, ledger: Ledger, sign: Sign) -> Inclusion:
    """That all entries of a stream are in the ledger. Raises LedgerCorrupt, and what `sign` raises."""
    entries = ledger.stream(stream)
    note, head, tree = _covering(entries[-1].sequence, service, ledger, sign)
    proved = tuple(
        ProvedEntry(
            canonical(preimage(entry)),
            entry.sequence - 1,
            tuple(tree.inclusion(entry.sequence - 1, head.size)),
        )
        for entry in entries
    )
    return Inclusion(note, proved)


def prove_consistency(old: Note, *, service: Repository, ledger: Ledger, sign: Sign) -> Consistency:
    """That the ledger goes on from an older checkpoint. Raises LedgerCorrupt if it does not."""
    before = parse_tree_head(old.text)
    note, head, tree = _covering(before.size, service, ledger, sign)
    _require_root(tree, before)
    return Consistency(old, note, tuple(tree.consistency(before.size, head.size)) if before.size else ())


def _covering(size: int, service: Repository, ledger: Ledger, sign: Sign) -> tuple[Note, TreeHead, Tree]:
    """A checkpoint with at least so many entries, what it says, and the tree that it is of."""
    newest = ledger.stream(Stream.ledger(service), last=1)
    fact = newest[0].fact if newest else None
    if isinstance(fact, Anchored) and fact.size >= size and is_note(fact.note):
        note = parse_note(fact.note.encode())
    else:
        now = head_of(ledger)
        if now.size < size:
            raise _gone(size, now.size)
        note = sign(now)
    head = parse_tree_head(note.text)
    tree = Tree(ledger.leaves(head.size))
    _require_root(tree, head)
    return note, head, tree


def _require_root(tree: Tree, head: TreeHead) -> None:
    if tree.size < head.size:
        raise _gone(head.size, tree.size)
    if tree.root(head.size) != head.root:
        raise LedgerCorrupt(
            f"the ledger is not what it was: entry {head.size}, or one before it",
            expected=f"the {head.size} entries that the checkpoint was signed over",
            found="another history, with another root over them",
            remedy="immutag ledger verify --against repository",
        )


def _gone(size: int, found: int) -> LedgerCorrupt:
    return LedgerCorrupt(
        f"the ledger is not what it was: entry {found + 1} is gone",
        expected=f"{size} entries, as the checkpoint says",
        found=f"the ledger ends with entry {found}",
        remedy="immutag ledger verify --against repository",
    )
