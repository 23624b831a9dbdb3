"""Leave the ledger's head outside: signed as a checkpoint, in the registry, and in a log if asked (DR-017).

Before: the ledger goes on from the newest checkpoints that are there; one that does not is not signed, since
two checkpoints by one signer must never contradict each other. After: the signature is in the log, the
checkpoint is attached with the proof of that, read back, and a fact. Killed in between: the next run finds
its checkpoint of the same head, and records it, or makes another. Twice changes nothing.
"""

import io

from immutag.core.checkpoint import Note, TreeHead, is_note, origin_of
from immutag.core.errors import ConfigInvalid, SoftVerifyToolError
from immutag.core.facts import Anchored, Stream
from immutag.core.report import Report
from immutag.core.values import Digest, Repository
from immutag.ledger import Ledger
from immutag.ledger.against import require_continues
from immutag.ledger.head import Head
from immutag.oci.attach import EMPTY, Artifact, Layer, attach, push_blobs
from immutag.oci.registry import Registry
from immutag.trust.formats.bundle import BUNDLE_V03
from immutag.trust.judgement import Refused
from immutag.trust.signing.head_signer import HeadSigner, SignedHead
from immutag.trust.signing.key_signer import Key
from immutag.trust.signing.note import sign_note
from immutag.usecases.checkpoints import (
    CHECKPOINT,
    ORIGIN,
    SIZE,
    TREE_HEAD,
    Found,
    Kept,
    checkpoints,
    logged_by,
    page_of,
)
from immutag.usecases.record import append_while
from immutag.usecases.trusting import Trusting

_AHEAD = 4
_NEWEST = 2
_TRIES = 2


def anchor(
    canonical: Repository,
    *,
    ledger: Ledger,
    registry: Registry,
    signer: HeadSigner,
    trusting: Trusting,
    report: Report,
) -> Anchored:
    """The checkpoint of the ledger as it is now, made or found. `trusting` names all that this service has
    signed checkpoints with.

    Raises LedgerCorrupt for a ledger that does not go on from what was anchored before, ConfigInvalid for an
    empty one, PushFailure, RegistryAuth, RegistryUnavailable, SoftVerifyToolError.
    """
    newest = ledger.recent(1)
    last = newest[0].fact if newest else None
    if isinstance(last, Anchored) and last.repository == canonical and (last.bundle or not signer.logs):
        return last
    for _ in range(_TRIES):
        fact = _anchor(
            canonical, ledger=ledger, registry=registry, signer=signer, trusting=trusting, report=report
        )
        append_while(ledger, Stream.ledger(canonical), fact)
        if fact.bundle or not signer.logs:
            return fact
        report.step("the log has this signature already, of a run that was killed: once more, of a new head")
    raise _never_proved()


def sign_head(head: Head, canonical: Repository, key: Key) -> Note:
    """The checkpoint of this head. Raises ConfigInvalid for an empty ledger."""
    tree_head = _tree_head(head, canonical)
    return sign_note(tree_head.text(), name=tree_head.origin, key=key)


def _anchor(
    canonical: Repository,
    *,
    ledger: Ledger,
    registry: Registry,
    signer: HeadSigner,
    trusting: Trusting,
    report: Report,
) -> Anchored:
    found = checkpoints(registry, size=ledger.head().size, trusting=trusting, ahead=_AHEAD, newest=_NEWEST)
    head = require_continues(ledger, found.heads)
    tree_head = _tree_head(head, canonical)
    kept = _own(found, head, signer, trusting)
    if kept:
        bundle = kept.bundle.layer.digest if kept.bundle else None
        return Anchored(canonical, head.size, head.root.hex(), kept.content, kept.manifest, bundle)
    report.step(f"anchor the ledger's {head.size} entries in {registry.repository}")
    signed = signer.sign(tree_head)
    layers = _layers(signed)
    bundle = layers[1].descriptor.digest if signed.bundle else None
    manifest = _attach(layers, tree_head, registry)
    return Anchored(canonical, head.size, head.root.hex(), signed.content, manifest, bundle)


def _own(found: Found, head: Head, signer: HeadSigner, trusting: Trusting) -> Kept | None:
    """This very head as it was left by a run that was killed before the fact."""
    for kept in found.kept:
        same = (kept.head.size, kept.head.root, kept.signer) == (head.size, head.root, signer.name)
        if same and (not signer.logs or _is_logged(kept, signer, trusting)):
            return kept
    return None


def _is_logged(kept: Kept, signer: HeadSigner, trusting: Trusting) -> bool:
    try:
        return logged_by(kept.bundle, kept.text, trusting) == signer.name
    except Refused:
        return False


def _tree_head(head: Head, canonical: Repository) -> TreeHead:
    if head.size == 0:
        raise ConfigInvalid(
            "there is nothing to sign: the ledger is empty",
            expected="at least one entry",
            found="none",
            remedy="immutag release",
        )
    return TreeHead(origin_of(canonical), head.size, head.root)


def _layers(signed: SignedHead) -> tuple[Layer, ...]:
    """The note, or the bare text of what only the bundle signs, and the bundle."""
    kind = CHECKPOINT if is_note(signed.content) else TREE_HEAD
    first = Layer(kind, signed.content.encode(), {})
    return (first, Layer(BUNDLE_V03, signed.bundle, {})) if signed.bundle else (first,)


def _attach(layers: tuple[Layer, ...], head: TreeHead, registry: Registry) -> Digest:
    page, text = page_of(head.origin, head.size)
    push_blobs(registry, [EMPTY])
    registry.push(page, io.BytesIO(text))
    about = {ORIGIN: head.origin, SIZE: str(head.size)}
    return attach(registry, page, Artifact(CHECKPOINT, layers, about)).digest


def _never_proved() -> SoftVerifyToolError:
    return SoftVerifyToolError(
        "the log says of every signature that it has it already, and proves none",
        expected="a log entry for a checkpoint that is new",
        found=f"{_TRIES} times none",
        remedy="look at the log; the checkpoints are in the registry and the ledger, without its proof",
    )
