"""Leave the ledger's head outside: signed as a checkpoint, in the registry (DR-017).

Before: the ledger goes on from the newest checkpoints that are there; one that does not is not signed, since
two checkpoints by one key must never contradict each other. After: the checkpoint is attached, read back, and
a fact. Killed in between: the next run attaches another, of a longer ledger. Twice changes nothing.
"""

import io
from collections.abc import Sequence

from immutag.core.checkpoint import Note, TreeHead, origin_of
from immutag.core.errors import ConfigInvalid
from immutag.core.facts import Anchored, Stream
from immutag.core.report import Report
from immutag.core.values import Digest, Repository
from immutag.ledger import Ledger
from immutag.ledger.against import require_continues
from immutag.ledger.head import Head
from immutag.oci.attach import EMPTY, Artifact, Layer, attach, push_blobs
from immutag.oci.registry import Registry
from immutag.trust.public_key import PublicKey
from immutag.trust.signing.key_signer import Key
from immutag.trust.signing.note import sign_note
from immutag.usecases.checkpoints import CHECKPOINT, ORIGIN, SIZE, checkpoints, page_of
from immutag.usecases.record import append_while

_AHEAD = 4
_NEWEST = 2


def anchor(
    canonical: Repository,
    *,
    ledger: Ledger,
    registry: Registry,
    key: Key,
    keys: Sequence[PublicKey],
    report: Report,
) -> Anchored:
    """The checkpoint of the ledger as it is now, made or found. `keys` are all that this service has signed
    checkpoints with.

    Raises LedgerCorrupt for a ledger that does not go on from what was anchored before, ConfigInvalid for an
    empty one, PushFailure, RegistryAuth, RegistryUnavailable, SoftVerifyToolError.
    """
    newest = ledger.recent(1)
    if newest and isinstance(newest[0].fact, Anchored) and newest[0].fact.repository == canonical:
        return newest[0].fact
    origin = origin_of(canonical)
    known = checkpoints(
        registry, origin=origin, size=ledger.head().size, keys=keys, ahead=_AHEAD, newest=_NEWEST
    )
    head = require_continues(ledger, known.heads)
    note = sign_head(head, canonical, key)
    report.step(f"anchor the ledger's {head.size} entries in {registry.repository}")
    fact = Anchored(
        canonical, head.size, head.root.hex(), note.encode(), _attach(note, origin, head, registry)
    )
    append_while(ledger, Stream.ledger(canonical), fact)
    return fact


def sign_head(head: Head, canonical: Repository, key: Key) -> Note:
    """The checkpoint of this head. Raises ConfigInvalid for an empty ledger."""
    if head.size == 0:
        raise ConfigInvalid(
            "there is nothing to sign: the ledger is empty",
            expected="at least one entry",
            found="none",
            remedy="immutag release",
        )
    origin = origin_of(canonical)
    return sign_note(TreeHead(origin, head.size, head.root).text(), name=origin, key=key)


def _attach(note: Note, origin: str, head: Head, registry: Registry) -> Digest:
    page, text = page_of(origin, head.size)
    layer = Layer(CHECKPOINT, note.encode().encode(), {})
    push_blobs(registry, [EMPTY])
    registry.push(page, io.BytesIO(text))
    return attach(
        registry, page, Artifact(CHECKPOINT, (layer,), {ORIGIN: origin, SIZE: str(head.size)})
    ).digest
