"""A head of the ledger as somebody outside has it: what the ledger is held against (DR-017). Pure."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from immutag.core.checkpoint import TreeHead
from immutag.core.errors import ConfigInvalid
from immutag.core.frozen import frozen
from immutag.core.merkle import EMPTY_ROOT
from immutag.core.values import shown

_HEX = re.compile(r"[0-9a-f]{64}")
_DECIMAL = re.compile(r"[1-9][0-9]{0,15}")
_NO_ENTRY = "0" * 64


@frozen()
class KnownHead:
    """After `size` entries: the hash of the last one, the root over all, or both. `source`: who says so."""

    size: int
    hash: str | None
    root: bytes | None
    source: str

    @classmethod
    def of(cls, head: TreeHead, source: str) -> "KnownHead":
        """What a checkpoint says."""
        return cls(head.size, None, head.root, source)


def parse_head(text: str, source: str) -> KnownHead:
    """A head back from what `ledger head` printed, now or before it knew of roots. Raises ConfigInvalid."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        document = None
    if isinstance(document, dict) and document.keys() <= {"size", "hash", "root"}:
        found = _head(document, source)
        if found:
            return found
    raise ConfigInvalid(
        "not a ledger's head",
        expected='what `immutag ledger head` printed: {"hash": …, "root": …, "size": …}',
        found=shown(text.strip()) or "nothing",
        remedy="immutag ledger head > FILE, when the ledger is known to be right",
    )


def heads_in(predicate: Mapping[str, Any], name: str, source: str) -> Iterator[KnownHead]:
    """The heads that a predicate of ours holds under this name: a summary's field, or one of a provenance's
    byproducts. Whatever is not of their form is passed over."""
    direct = predicate.get(name)
    details = predicate.get("runDetails")
    products = details.get("byproducts") if isinstance(details, dict) else None
    said = (
        [product for product in products if isinstance(product, dict)] if isinstance(products, list) else []
    )
    for fields in (direct, *(product.get("annotations") for product in said if product.get("uri") == name)):
        if isinstance(fields, dict) and (found := _head(fields, source)):
            yield found


def _head(fields: Mapping[str, Any], source: str) -> KnownHead | None:
    """Annotations are texts, so a size may be one too."""
    size, hash, root = fields.get("size"), fields.get("hash"), fields.get("root")
    if isinstance(size, str) and _DECIMAL.fullmatch(size):
        size = int(size)
    if type(size) is not int or size < 0 or not _is_hash(hash) or (root is not None and not _is_hash(root)):
        return None
    if (size == 0) != (hash == _NO_ENTRY) or (root and (size == 0) != (root == EMPTY_ROOT.hex())):
        return None
    return KnownHead(size, hash, bytes.fromhex(root) if root else None, source)


def _is_hash(value: object) -> bool:
    return isinstance(value, str) and _HEX.fullmatch(value) is not None
