"""Signing with a key: the bundle that cosign 3 reads, and the annotation that every cosign reads."""

import base64
from collections.abc import Mapping
from typing import Protocol

from immutag.core.statement import PAYLOAD_TYPE
from immutag.trust.formats.bundle import encode_bundle
from immutag.trust.formats.dsse import Envelope, Signature, pae
from immutag.trust.formats.simple_signing import SIGNATURE
from immutag.trust.public_key import PublicKey


class Key(Protocol):
    """Signs as its public key says: a file's, unlocked (`PrivateKey`), or a program's (`CommandKey`)."""

    @property
    def public(self) -> PublicKey: ...

    def sign(self, payload: bytes) -> bytes:
        """The signature over the payload. Raises SoftVerifyToolError where what it needs fails."""
        ...


class KeySigner:
    """A `Signer` for one key. The name in a bundle is the key's hash: cosign's own hint."""

    __slots__ = ("_key",)

    def __init__(self, key: Key) -> None:
        self._key = key

    @property
    def name(self) -> str:
        return self._key.public.name

    @property
    def public(self) -> PublicKey:
        """What its signatures verify under."""
        return self._key.public

    def sign(self, payload: bytes) -> bytes:
        """A bare signature, as checkpoints have it: this is a `Key` too."""
        return self._key.sign(payload)

    def bundle(self, statement: bytes) -> bytes:
        """A bundle with the statement. No log and no timestamp: a key needs neither to be verified."""
        signature = Signature("", self._key.sign(pae(PAYLOAD_TYPE, statement)))
        return encode_bundle(Envelope(statement, PAYLOAD_TYPE, (signature,)), hint=self._key.public.hint)

    def simple(self, payload: bytes) -> Mapping[str, str]:
        """The annotation of cosign's layer with this payload."""
        return {SIGNATURE: base64.b64encode(self._key.sign(payload)).decode()}

    def __repr__(self) -> str:
        return f"KeySigner({self.name})"
