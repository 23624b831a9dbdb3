"""Merkle trees over leaf hashes: roots and proofs (RFC 6962, section 2.1; RFC 9162, section 2.1). Pure.

Verifying trusts nothing that it is given: sizes, indexes and hashes may be anybody's.
"""

from collections.abc import Iterable, Sequence
from hashlib import sha256

HASH_BYTES = 32
EMPTY_ROOT = sha256(b"").digest()
"""The root of a tree without leaves."""


def leaf_hash(content: bytes) -> bytes:
    """Of a leaf's content."""
    return sha256(b"\0" + content).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Of the node above two others."""
    return sha256(b"\1" + left + right).digest()


class CompactRange:
    """The left edge of a growing tree: what is needed to go on, one hash for each bit set in its size."""

    def __init__(self) -> None:
        self.size = 0
        self._edge: list[bytes] = []

    def append(self, leaf: bytes) -> None:
        """One leaf more, by its hash."""
        node, complete = leaf, self.size
        while complete & 1:
            node = node_hash(self._edge.pop(), node)
            complete >>= 1
        self._edge.append(node)
        self.size += 1

    def root(self) -> bytes:
        """Of the tree as it is now."""
        if not self._edge:
            return EMPTY_ROOT
        *others, root = self._edge
        for node in reversed(others):
            root = node_hash(node, root)
        return root


def root_of(leaves: Iterable[bytes]) -> bytes:
    """The root over these leaf hashes, read once, in memory of O(log n)."""
    edge = CompactRange()
    for leaf in leaves:
        edge.append(leaf)
    return edge.root()


class Tree:
    """A whole tree in memory, to make proofs from."""

    def __init__(self, leaves: Iterable[bytes]) -> None:
        self._levels = [list(leaves)]
        while len(below := self._levels[-1]) > 1:
            pairs = zip(below[::2], below[1::2], strict=False)
            self._levels.append([node_hash(left, right) for left, right in pairs])

    @property
    def size(self) -> int:
        return len(self._levels[0])

    def root(self, size: int) -> bytes:
        """Of the tree as it was at this size, at most its own."""
        return self._range(0, size) if size else EMPTY_ROOT

    def inclusion(self, index: int, size: int) -> list[bytes]:
        """That the leaf at `index`, from 0, is in the tree of this size: its sibling first."""
        if not 0 <= index < size <= self.size:
            raise ValueError(f"no leaf {index} in a tree of {size}")
        proof: list[bytes] = []
        begin, end = 0, size
        while end - begin > 1:
            middle = begin + _split(end - begin)
            if index < middle:
                proof.append(self._range(middle, end))
                end = middle
            else:
                proof.append(self._range(begin, middle))
                begin = middle
        return proof[::-1]

    def consistency(self, old: int, new: int) -> list[bytes]:
        """That the tree of the size `old`, at least 1, is the beginning of that of the size `new`."""
        if not 0 < old <= new <= self.size:
            raise ValueError(f"no tree of {old} within one of {new}")
        proof: list[bytes] = []
        begin, end = 0, new
        while old < end:
            middle = begin + _split(end - begin)
            if old <= middle:
                proof.append(self._range(middle, end))
                end = middle
            else:
                proof.append(self._range(begin, middle))
                begin = middle
        if begin:
            proof.append(self._range(begin, end))
        return proof[::-1]

    def _range(self, begin: int, end: int) -> bytes:
        """The hash over these leaves; `begin` is a multiple of the greatest power of two that fits."""
        width = end - begin
        if width & (width - 1) == 0:
            level = width.bit_length() - 1
            return self._levels[level][begin >> level]
        middle = begin + _split(width)
        return node_hash(self._range(begin, middle), self._range(middle, end))


def included(leaf: bytes, *, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether the proof shows that this leaf hash is at `index`, from 0, in the tree of this size and root
    (RFC 9162, section 2.1.3.2)."""
    if not 0 <= index < size or not _are_hashes((leaf, *proof)):
        return False
    at, last, found = index, size - 1, leaf
    for node in proof:
        if last == 0:
            return False
        if at & 1 or at == last:
            found = node_hash(node, found)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            found = node_hash(found, node)
        at, last = at >> 1, last >> 1
    return last == 0 and found == root


def consistent(old: int, old_root: bytes, new: int, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether the proof shows that the tree `new` goes on from the tree `old` (RFC 9162, section 2.1.4.2).

    Every tree goes on from an empty one: that shows nothing, so it is never shown.
    """
    if not 0 < old <= new or not _are_hashes(proof):
        return False
    if old == new:
        return not proof and old_root == new_root
    path = list(proof) if old & (old - 1) else [old_root, *proof]
    if not path:
        return False
    at, last = old - 1, new - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    was = now = path[0]
    for node in path[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            was, now = node_hash(node, was), node_hash(node, now)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            now = node_hash(now, node)
        at, last = at >> 1, last >> 1
    return last == 0 and was == old_root and now == new_root


def _split(width: int) -> int:
    """The greatest power of two smaller than the width: the leaves of the left subtree."""
    return 1 << (width - 1).bit_length() - 1


def _are_hashes(values: Iterable[bytes]) -> bool:
    """Two hashes of other lengths could be another pair's bytes, split elsewhere."""
    return all(len(value) == HASH_BYTES for value in values)
