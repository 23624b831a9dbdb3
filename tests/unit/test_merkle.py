"""Merkle trees as RFC 6962 has them: against its definition, written down naively, and published vectors."""

import base64
import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from immutag.core.merkle import (
    EMPTY_ROOT,
    CompactRange,
    Tree,
    consistent,
    included,
    leaf_hash,
    node_hash,
    root_of,
)

VECTORS = Path(__file__).parents[1] / "vectors" / "merkle"
LEAVES = [leaf_hash(str(n).encode()) for n in range(70)]
SIZES = st.integers(1, len(LEAVES))


def naive_root(leaves: list[bytes]) -> bytes:
    """RFC 6962, section 2.1, as it stands there."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = max(1 << n for n in range(8) if 1 << n < len(leaves))
    return sha256(b"\x01" + naive_root(leaves[:k]) + naive_root(leaves[k:])).digest()


def naive_path(m: int, leaves: list[bytes]) -> list[bytes]:
    """Section 2.1.1."""
    if len(leaves) == 1:
        return []
    k = max(1 << n for n in range(8) if 1 << n < len(leaves))
    if m < k:
        return [*naive_path(m, leaves[:k]), naive_root(leaves[k:])]
    return [*naive_path(m - k, leaves[k:]), naive_root(leaves[:k])]


def naive_consistency(m: int, leaves: list[bytes], whole: bool = True) -> list[bytes]:
    """Section 2.1.2."""
    if m == len(leaves):
        return [] if whole else [naive_root(leaves)]
    k = max(1 << n for n in range(8) if 1 << n < len(leaves))
    if m <= k:
        return [*naive_consistency(m, leaves[:k], whole), naive_root(leaves[k:])]
    return [*naive_consistency(m - k, leaves[k:], False), naive_root(leaves[:k])]


def vectors(name: str) -> list[Any]:
    loaded: list[Any] = json.loads((VECTORS / f"{name}.json").read_text())
    return loaded


def raw(text: str | None) -> bytes:
    return base64.b64decode(text or "")


def test_roots_are_those_of_the_reference_at_every_size() -> None:
    reference = json.loads((VECTORS / "roots.json").read_text())
    edge = CompactRange()
    tree = Tree(leaf_hash(bytes.fromhex(leaf)) for leaf in reference["leaves"])
    assert edge.root() == EMPTY_ROOT == tree.root(0) == bytes.fromhex(reference["roots"][0])
    for size, (leaf, root) in enumerate(zip(reference["leaves"], reference["roots"][1:], strict=True), 1):
        edge.append(leaf_hash(bytes.fromhex(leaf)))
        assert edge.root() == tree.root(size) == bytes.fromhex(root)
    assert edge.size == tree.size == 8


@pytest.mark.parametrize("vector", vectors("inclusion"), ids=lambda vector: vector["file"])
def test_published_inclusion_proofs_are_judged_as_published(vector: Any) -> None:
    shown = included(
        raw(vector["leafHash"]),
        index=vector["leafIdx"],
        size=vector["treeSize"],
        proof=[raw(node) for node in vector["proof"] or ()],
        root=raw(vector["root"]),
    )
    assert shown is not vector["wantErr"]


@pytest.mark.parametrize("vector", vectors("consistency"), ids=lambda vector: vector["file"])
def test_published_consistency_proofs_are_judged_as_published(vector: Any) -> None:
    shown = consistent(
        vector["size1"],
        raw(vector["root1"]),
        vector["size2"],
        raw(vector["root2"]),
        [raw(node) for node in vector["proof"] or ()],
    )
    assert shown is not vector["wantErr"]


@given(size=st.integers(0, len(LEAVES)))
def test_a_root_is_the_definitions(size: int) -> None:
    leaves = LEAVES[:size]
    assert root_of(leaves) == Tree(leaves).root(size) == Tree(LEAVES).root(size) == naive_root(leaves)


@given(data=st.data(), size=SIZES)
def test_an_inclusion_proof_is_the_definitions_and_holds_for_this_leaf_only(
    data: st.DataObject, size: int
) -> None:
    index = data.draw(st.integers(0, size - 1))
    proof = Tree(LEAVES).inclusion(index, size)
    assert proof == naive_path(index, LEAVES[:size])
    root = naive_root(LEAVES[:size])
    assert included(LEAVES[index], index=index, size=size, proof=proof, root=root)
    for other in range(-1, size + 2):
        if other != index:
            assert not included(LEAVES[index], index=other, size=size, proof=proof, root=root)
    assert not included(LEAVES[index - 1 if size > 1 else 5], index=index, size=size, proof=proof, root=root)
    assert not included(LEAVES[index], index=index, size=size, proof=[*proof, root], root=root)
    assert not included(LEAVES[index], index=index, size=size, proof=proof[:-1], root=root) or size == 1


@given(data=st.data(), new=SIZES)
def test_a_consistency_proof_is_the_definitions_and_holds_for_these_sizes_only(
    data: st.DataObject, new: int
) -> None:
    old = data.draw(st.integers(1, new))
    proof = Tree(LEAVES).consistency(old, new)
    assert proof == naive_consistency(old, LEAVES[:new])
    was, now = naive_root(LEAVES[:old]), naive_root(LEAVES[:new])
    assert consistent(old, was, new, now, proof)
    assert not consistent(new, now, old, was, proof) or old == new
    assert not consistent(old, was, new, now, [*proof, now])
    if proof:
        assert not consistent(old, was, new, now, proof[:-1])
        bent = bytes([proof[0][0] ^ 1]) + proof[0][1:]
        assert not consistent(old, was, new, now, [bent, *proof[1:]])


@given(data=st.data(), new=SIZES)
def test_a_tree_with_another_past_is_never_consistent(data: st.DataObject, new: int) -> None:
    old = data.draw(st.integers(1, new))
    changed = data.draw(st.integers(0, old - 1))
    other = [*LEAVES]
    other[changed] = leaf_hash(b"another history")
    honest, forked = Tree(LEAVES), Tree(other)
    for proof in (honest.consistency(old, new), forked.consistency(old, new)):
        assert not consistent(old, honest.root(old), new, forked.root(new), proof)


HASHES = st.sampled_from(LEAVES[:9]) | st.binary(max_size=40)


@given(
    numbers=st.tuples(*[st.integers(-3, 2**70)] * 2) | st.tuples(*[st.integers(-1, 9)] * 2),
    proof=st.lists(HASHES, max_size=70),
    roots=st.tuples(HASHES, HASHES),
)
def test_no_foreign_proof_makes_an_error(
    numbers: tuple[int, int], proof: list[bytes], roots: tuple[bytes, bytes]
) -> None:
    assert included(roots[0], index=numbers[0], size=numbers[1], proof=proof, root=roots[1]) in (True, False)
    assert consistent(numbers[0], roots[0], numbers[1], roots[1], proof) in (True, False)


def test_hashes_of_other_lengths_prove_nothing() -> None:
    left, right = LEAVES[:2]
    root = node_hash(left, right)
    assert included(left, index=0, size=2, proof=[right], root=root)
    assert not included(left + right[:1], index=0, size=2, proof=[right[1:]], root=root)
    assert not included(left[:-1], index=0, size=2, proof=[left[-1:] + right], root=root)


@pytest.mark.parametrize(("index", "size"), [(-1, 3), (3, 3), (0, 0), (0, 71)])
def test_there_is_no_proof_of_what_is_not_there(index: int, size: int) -> None:
    with pytest.raises(ValueError):
        Tree(LEAVES).inclusion(index, size)


@pytest.mark.parametrize(("old", "new"), [(0, 3), (4, 3), (1, 71), (-1, 1)])
def test_there_is_no_proof_between_trees_that_are_not_there(old: int, new: int) -> None:
    with pytest.raises(ValueError):
        Tree(LEAVES).consistency(old, new)
