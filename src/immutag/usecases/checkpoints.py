"""Where the checkpoints of a ledger lie in a registry, and which of them count (DR-017).

The place follows from the service's name and a checkpoint's size alone, so it is found with no ledger at hand
and without a tag of ours: for each 128 entries there is one small manifest, a page, that is always the same;
the checkpoints are its referrers. Each is one manifest: a note, or the bare text, and then the bundle with a
log's proof, where there is one. Nothing that lies there is believed unless somebody trusted signed it.
"""

import json
from collections.abc import Sequence

from immutag.core.checkpoint import LIMIT_BYTES, Note, TreeHead, parse_note, parse_tree_head
from immutag.core.errors import ConfigInvalid, LedgerCorrupt
from immutag.core.frozen import frozen, replace
from immutag.core.known_head import KnownHead
from immutag.core.values import Digest
from immutag.oci import IMAGE_MANIFEST, Descriptor
from immutag.oci.attach import EMPTY
from immutag.oci.content import digest_of
from immutag.oci.fanout import map_each
from immutag.oci.manifest import Child
from immutag.oci.referrers import Referrer, listed_by_api, listed_by_tag, read
from immutag.oci.registry import Registry
from immutag.trust.attached import Attached, Kind, in_referrer, with_content
from immutag.trust.evidence.signed_content import signer_of_content
from immutag.trust.judgement import Check, Refused, invalid
from immutag.trust.public_key import PublicKey
from immutag.trust.signing.note import signer_of
from immutag.usecases.trusting import Trusting

PAGE_ENTRIES = 128
CHECKPOINT = "application/vnd.immutag.ledger.checkpoint.v1"
TREE_HEAD = "application/vnd.immutag.ledger.tree-head.v1"
"""The media type of the bare text, which only a bundle signs."""
PAGE = "application/vnd.immutag.ledger.page.v1"
ORIGIN, SIZE = "immutag.ledger.origin", "immutag.ledger.size"
LOGGED = ", in a transparency log"
_WORKERS = 8
_AHEAD = 32


@frozen()
class Kept:
    """A checkpoint in the registry that somebody trusted signed: `signer`. `content` is the note or the bare
    text, `text` what is signed; `bundle` lies beside it, unverified unless the head's source says so."""

    head: KnownHead
    signer: str
    content: str
    text: str
    manifest: Digest
    bundle: Attached | None


@frozen()
class Found:
    """The checkpoints that somebody trusted signed, and how many others lie there."""

    kept: tuple[Kept, ...]
    others: int

    @property
    def heads(self) -> tuple[KnownHead, ...]:
        return tuple(each.head for each in self.kept)


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
    size: int,
    trusting: Trusting,
    ahead: int = _AHEAD,
    newest: int | None = None,
) -> Found:
    """Those that a ledger of this size must agree with: on its own page and the pages after it, until there
    are none on as many as `ahead`; where there is none at all, on the last page before it that has some.

    `newest`: so many of a page only. Raises RegistryUnavailable, RegistryAuth, DigestMismatch;
    SoftVerifyToolError for a root of trust that is needed and cannot be used.
    """

    def look(page: int) -> Found:
        return _on_page(registry, page * PAGE_ENTRIES, trusting, newest)

    found: dict[int, Found] = {}

    def look_at(pages: range) -> None:
        found.update(zip(pages, map_each(look, pages, workers=_WORKERS), strict=True))

    own = size // PAGE_ENTRIES
    first, end, last = own, own, own
    while end <= last + ahead:
        look_at(range(end, last + ahead + 1))
        end, last = last + ahead + 1, max((page for page in found if found[page].kept), default=last)
    while first and not any(each.kept for each in found.values()):
        first, before = max(0, first - ahead - 1), first
        look_at(range(first, before))
    kept = tuple(each for page in found.values() for each in page.kept)
    return Found(kept, sum(each.others for each in found.values()))


def head_in(note: Note, *, origin: str, keys: Sequence[PublicKey], name: str) -> KnownHead | None:
    """What a checkpoint of this origin says, if one of the keys signed it. Raises LedgerCorrupt for a
    signature that is false, ConfigInvalid for a note that is no checkpoint."""
    signer = signer_of(note, name=origin, keys=keys)
    head: TreeHead = parse_tree_head(note.text)
    if signer is None or head.origin != origin:
        return None
    return KnownHead.of(head, f"{name}, signed by {signer.name}")


def kept_in(referrer: Referrer, registry: Registry, trusting: Trusting) -> Kept | None:
    """The checkpoint that a referrer is, if somebody trusted signed it. What is there is anybody's who can
    write: what does not hold is no evidence for or against anything."""
    first, *others = in_referrer("", referrer)
    if referrer.artifact_type != CHECKPOINT or first.layer.size_bytes > LIMIT_BYTES:
        return None
    content = with_content(first, registry, None).content
    if content is None:
        return None
    beside = next((each for each in others if each.kind is Kind.BUNDLE), None)
    bundle = with_content(beside, registry, None) if beside else None
    name = f"the checkpoint {registry.repository}@{referrer.content.digest}"
    read = _bare if first.layer.media_type == TREE_HEAD else _note
    try:
        signed = read(content, bundle, name, trusting)
    except (ConfigInvalid, LedgerCorrupt, UnicodeDecodeError, Refused):
        return None
    if signed is None:
        return None
    head, signer, text = signed
    return Kept(head, signer, content.decode(), text, referrer.content.digest, bundle)


def logged_by(bundle: Attached | None, text: str, trusting: Trusting) -> str:
    """Who signed the text, by the bundle, with a log's proof. Raises Refused."""
    if bundle is None or bundle.content is None:
        raise invalid(Check.CONTENT, "its bundle cannot be read")
    return signer_of_content(bundle.content, text.encode(), rule=trusting.rule, authority=trusting.authority)


_Signed = tuple[KnownHead, str, str]


def _note(content: bytes, bundle: Attached | None, name: str, trusting: Trusting) -> _Signed | None:
    """Evidence by its own signature, whatever the log says; that is told with it."""
    note = parse_note(content)
    signer = signer_of(note, name=trusting.origin, keys=trusting.rule.keys)
    head = head_in(note, origin=trusting.origin, keys=trusting.rule.keys, name=name)
    if signer is None or head is None:
        return None
    if bundle and trusting.logged:
        head = replace(head, source=f"{head.source}{_in_log(bundle, note.text, trusting)}")
    return head, signer.name, note.text


def _bare(content: bytes, bundle: Attached | None, name: str, trusting: Trusting) -> _Signed | None:
    """Evidence by its bundle alone."""
    text = content.decode()
    head = parse_tree_head(text)
    if head.origin != trusting.origin or not trusting.rule.identities:
        return None
    signer = logged_by(bundle, text, trusting)
    return KnownHead.of(head, f"{name}, signed by {signer}{LOGGED}"), signer, text


def _in_log(bundle: Attached, text: str, trusting: Trusting) -> str:
    try:
        logged_by(bundle, text, trusting)
    except Refused as refused:
        return f", which its log entry does not prove: {refused.why}"
    return LOGGED


def _on_page(registry: Registry, size: int, trusting: Trusting, newest: int | None) -> Found:
    page, _ = page_of(trusting.origin, size)
    listed = [*(listed_by_api(registry, page.digest) or ()), *listed_by_tag(registry, page.digest)]
    wanted = list(
        {child.content.digest: child for child in sorted(listed, key=_claimed, reverse=True)}.values()
    )
    referrers = read(registry, page.digest, wanted[:newest])
    found = [kept_in(each, registry, trusting) for each in referrers.values() if each]
    kept = tuple(each for each in found if each)
    return Found(kept, len(found) - len(kept))


def _claimed(child: Child) -> int:
    """The size that the list says: only which to read first."""
    text = child.annotations.get(SIZE, "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 17 else 0
