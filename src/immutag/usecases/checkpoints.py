"""Where the checkpoints of a ledger lie in a registry, and which of them count (DR-017).

The place follows from the service's name and a checkpoint's size alone, so it is found with no ledger at hand
and without a tag of ours: for each 128 entries there is one small manifest, a page, that is always the same;
the checkpoints are its referrers. Nothing that lies there is believed unless a trusted key signed it.
"""

import json
from collections.abc import Sequence

from immutag.core.checkpoint import LIMIT_BYTES, Note, TreeHead, parse_note, parse_tree_head
from immutag.core.errors import ConfigInvalid, LedgerCorrupt
from immutag.core.frozen import frozen
from immutag.core.known_head import KnownHead
from immutag.oci import IMAGE_MANIFEST, Descriptor
from immutag.oci.attach import EMPTY
from immutag.oci.content import digest_of
from immutag.oci.fanout import map_each
from immutag.oci.manifest import Child
from immutag.oci.referrers import Referrer, listed_by_api, listed_by_tag, read
from immutag.oci.registry import Registry
from immutag.trust.attached import in_referrer, with_content
from immutag.trust.public_key import PublicKey
from immutag.trust.signing.note import signer_of

PAGE_ENTRIES = 128
CHECKPOINT = "application/vnd.immutag.ledger.checkpoint.v1"
PAGE = "application/vnd.immutag.ledger.page.v1"
ORIGIN, SIZE = "immutag.ledger.origin", "immutag.ledger.size"
_WORKERS = 8
_AHEAD = 32


@frozen()
class Found:
    """The heads that trusted keys signed, and how many other checkpoints lie there."""

    heads: tuple[KnownHead, ...]
    others: int


def page_of(origin: str, size: int) -> tuple[Descriptor, bytes]:
    """The page for checkpoints of this size, and its manifest."""
    document = {
        "schemaVersion": 2,
        "mediaType": IMAGE_MANIFEST,
        "artifactType": PAGE,
        "config": EMPTY.encode(),
        "layers": [EMPTY.encode()],
        "annotations": {ORIGIN: origin, "immutag.ledger.page": str(size // PAGE_ENTRIES)},
    }
    text = json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
    return Descriptor(IMAGE_MANIFEST, digest_of(text), len(text)), text


def checkpoints(
    registry: Registry,
    *,
    origin: str,
    size: int,
    keys: Sequence[PublicKey],
    ahead: int = _AHEAD,
    newest: int | None = None,
) -> Found:
    """Those that a ledger of this size must agree with: on its own page and the pages after it, until there
    are none on as many as `ahead`; where there is none at all, on the last page before it that has some.

    `newest`: so many of a page only. Raises RegistryUnavailable, RegistryAuth, DigestMismatch.
    """

    def look(page: int) -> Found:
        return _on_page(registry, origin, page * PAGE_ENTRIES, keys, newest)

    found: dict[int, Found] = {}

    def look_at(pages: range) -> None:
        found.update(zip(pages, map_each(look, pages, workers=_WORKERS), strict=True))

    own = size // PAGE_ENTRIES
    first, end, last = own, own, own
    while end <= last + ahead:
        look_at(range(end, last + ahead + 1))
        end, last = last + ahead + 1, max((page for page in found if found[page].heads), default=last)
    while first and not any(each.heads for each in found.values()):
        first, before = max(0, first - ahead - 1), first
        look_at(range(first, before))
    heads = tuple(head for each in found.values() for head in each.heads)
    return Found(heads, sum(each.others for each in found.values()))


def head_in(note: Note, *, origin: str, keys: Sequence[PublicKey], name: str) -> KnownHead | None:
    """What a checkpoint of this origin says, if one of the keys signed it. Raises LedgerCorrupt for a
    signature that is false, ConfigInvalid for a note that is no checkpoint."""
    signer = signer_of(note, name=origin, keys=keys)
    head: TreeHead = parse_tree_head(note.text)
    if signer is None or head.origin != origin:
        return None
    return KnownHead.of(head, f"{name}, signed by {signer.name}")


def _on_page(
    registry: Registry, origin: str, size: int, keys: Sequence[PublicKey], newest: int | None
) -> Found:
    page, _ = page_of(origin, size)
    listed = [*(listed_by_api(registry, page.digest) or ()), *listed_by_tag(registry, page.digest)]
    wanted = list(
        {child.content.digest: child for child in sorted(listed, key=_claimed, reverse=True)}.values()
    )
    referrers = read(registry, page.digest, wanted[:newest])
    heads = [_head(registry, each, origin, keys) for each in referrers.values() if each]
    known = tuple(head for head in heads if head)
    return Found(known, len(heads) - len(known))


def _head(registry: Registry, referrer: Referrer, origin: str, keys: Sequence[PublicKey]) -> KnownHead | None:
    """What is there is anybody's who can write: what does not hold is no evidence for or against anything."""
    layer = in_referrer("", referrer)[0]
    if referrer.artifact_type != CHECKPOINT or layer.layer.size_bytes > LIMIT_BYTES:
        return None
    content = with_content(layer, registry, None).content
    if content is None:
        return None
    name = f"the checkpoint {registry.repository}@{referrer.content.digest}"
    try:
        return head_in(parse_note(content), origin=origin, keys=keys, name=name)
    except (ConfigInvalid, LedgerCorrupt):
        return None


def _claimed(child: Child) -> int:
    """The size that the list says: only which to read first."""
    text = child.annotations.get(SIZE, "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 17 else 0
