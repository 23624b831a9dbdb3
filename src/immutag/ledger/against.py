"""The ledger held against heads kept outside: a cut tail, an old copy, another history (DR-017)."""

from collections.abc import Iterable, Iterator, Sequence

from immutag.core.checkpoint import TreeHead
from immutag.core.errors import LedgerCorrupt
from immutag.core.known_head import KnownHead
from immutag.core.merkle import CompactRange
from immutag.ledger import Ledger
from immutag.ledger.chain import EMPTY
from immutag.ledger.head import Head


def verify(ledger: Ledger, known: Iterable[KnownHead] = ()) -> Head:
    """Walk the whole ledger, and hold it against every known head. Raises LedgerCorrupt."""
    ledger.verify()
    return require_continues(ledger, known)


def require_continues(ledger: Ledger, known: Iterable[KnownHead]) -> Head:
    """The head, if the ledger goes on from every known one, by the hashes that it keeps: whether these are
    of its entries, `verify` says. Raises LedgerCorrupt for the first that it does not go on from.
    """
    heads = sorted((head for head in known if head.size), key=lambda head: head.size)
    end = ledger.head()
    edge, last, agreed, at = CompactRange(), EMPTY, None, 0
    for leaf in ledger.leaves(end.size):
        edge.append(leaf)
        last = leaf.hex()
        while at < len(heads) and heads[at].size == edge.size:
            if heads[at].hash not in (None, last) or heads[at].root not in (None, edge.root()):
                raise _forked(heads[at], last, agreed)
            agreed = heads[at]
            at += 1
    if at < len(heads):
        raise _cut(heads[at:], end.size, agreed)
    return Head(end.size, last, edge.root())


def tree_heads(ledger: Ledger, origin: str) -> Iterator[TreeHead]:
    """The head after every entry, from the first on, by the hashes that the ledger keeps."""
    edge = CompactRange()
    for leaf in ledger.leaves(ledger.head().size):
        edge.append(leaf)
        yield TreeHead(origin, edge.size, edge.root())


def _forked(head: KnownHead, found: str, agreed: KnownHead | None) -> LedgerCorrupt:
    good = f"; they agree up to entry {agreed.size} ({agreed.source})" if agreed else ""
    what = f"the hash {found}" if head.hash not in (None, found) else "another root over the entries up to it"
    return LedgerCorrupt(
        f"the ledger is not what it was: entry {head.size}, or one before it",
        expected=f"the history that {head.source} holds: {_named(head)}",
        found=f"entry {head.size}: another history, with {what}{good}",
        remedy="keep both as evidence: it was changed, or two copies of it were written to. Find the copy "
        "that `immutag ledger verify --against` accepts",
    )


def _cut(heads: Sequence[KnownHead], size: int, agreed: KnownHead | None) -> LedgerCorrupt:
    head = heads[-1]
    good = f"; it agrees up to entry {agreed.size} ({agreed.source})" if agreed else ""
    return LedgerCorrupt(
        f"the ledger is not what it was: entry {size + 1} is gone",
        expected=f"{head.size} entries, as {head.source} says: {_named(head)}",
        found=f"entry {size + 1}: gone: the ledger ends with entry {size}{good}",
        remedy="its end was cut off, an old copy was put back, or [ledger] url names another ledger than "
        "before: find the one that goes on from there, and write nothing to this one",
    )


def _named(head: KnownHead) -> str:
    return f"entry {head.size} has the hash {head.hash}" if head.hash else f"{head.size} entries"
