"""Signing a ledger's head: a note by a key, entered in a log where asked; or by an identity (DR-017)."""

from typing import Protocol

from immutag.core.checkpoint import TreeHead
from immutag.core.frozen import frozen
from immutag.trust.signing.key_signer import Key
from immutag.trust.signing.keyless import KeylessSigner
from immutag.trust.signing.note import sign_note
from immutag.trust.signing.rekor import Rekor


@frozen()
class SignedHead:
    """A head as it is kept. `content` is a note, or the bare text where only the bundle is signed; `bundle`
    proves that a log holds the signature over the text."""

    content: str
    bundle: bytes | None


class HeadSigner(Protocol):
    """Signs heads for one key or one identity. Raises SoftVerifyToolError."""

    @property
    def name(self) -> str:
        """What a verifier will call it."""
        ...

    @property
    def logs(self) -> bool:
        """Whether what it signs is to be in a log."""
        ...

    def sign(self, head: TreeHead) -> SignedHead: ...


class NoteSigner:
    """A key, which signs notes; `log` holds the very same signature."""

    __slots__ = ("_key", "_log")

    def __init__(self, key: Key, log: Rekor | None) -> None:
        self._key = key
        self._log = log

    @property
    def name(self) -> str:
        return self._key.public.name

    @property
    def logs(self) -> bool:
        return self._log is not None

    def sign(self, head: TreeHead) -> SignedHead:
        """The bundle is missing where the log holds this very signature already: it is proved only once."""
        note = sign_note(head.text(), name=head.origin, key=self._key)
        signature, text = note.signatures[0].value, note.text.encode()
        return SignedHead(note.encode(), self._log.enter(signature, text) if self._log else None)


class IdentitySigner:
    """An identity without a key of its own: no note names it, so only the bundle is signed."""

    __slots__ = ("_signer",)

    def __init__(self, signer: KeylessSigner) -> None:
        self._signer = signer

    @property
    def name(self) -> str:
        return self._signer.name

    @property
    def logs(self) -> bool:
        return True

    def sign(self, head: TreeHead) -> SignedHead:
        return SignedHead(head.text(), self._signer.over(head.text().encode()))
