"""Entering a key's signature in a transparency log: Rekor v2, `hashedrekord` 0.0.2 (rekor-tiles, CLIENTS.md).

What comes back is kept as a Sigstore bundle and checked with the root of trust, as any verifier would: an
answer that proves nothing is no answer.
"""

import base64
import hashlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from immutag.core.errors import ConfigInvalid, SoftVerifyToolError
from immutag.core.values import shown
from immutag.trust.asked import asked
from immutag.trust.checks import Authority
from immutag.trust.evidence.signed_content import signer_of_content
from immutag.trust.formats.bundle import MessageSignature, encode_logged
from immutag.trust.judgement import Refused
from immutag.trust.public_key import PublicKey
from immutag.trust.rule import TrustRule
from immutag.trust.signing.services import Services

if TYPE_CHECKING:
    from sigstore._internal.rekor.client_v2 import RekorV2Client

_TIMEOUT_S = 60.0
_AGAIN = "immutag ledger anchor"
_CURVES = {"secp256r1": ("P256", "256"), "secp384r1": ("P384", "384"), "secp521r1": ("P521", "512")}
_RSA_BITS = (2048, 3072, 4096)
_CONFLICT = 409


class Rekor:
    """The log of a Sigstore, for signatures by one key: `key` is the public one."""

    __slots__ = ("_authority", "_client", "_key", "_kind", "_timeout_s")

    def __init__(
        self,
        services: Services,
        key: PublicKey,
        *,
        authority: Callable[[], Authority],
        timeout_s: float = _TIMEOUT_S,
    ) -> None:
        """`timeout_s` bounds the request. Raises ConfigInvalid for a key whose signatures the log does not
        take and for a Sigstore without such a log, SoftVerifyToolError."""
        self._key = key
        self._kind = _kind(key)
        self._client = _client(services, timeout_s)
        self._authority = authority
        self._timeout_s = timeout_s

    def enter(self, signature: bytes, content: bytes) -> bytes | None:
        """The bundle that proves that the log holds the key's signature over the content: about a second,
        waiting for the log's next checkpoint.

        None where the log holds the very same signature already: it gives the proof once, to whoever entered
        it. Raises SoftVerifyToolError.
        """
        details, algorithm = self._kind
        digest = hashlib.new(algorithm, content).digest()
        payload = _request(digest, signature, self._key, details)
        entry = asked("log the checkpoint", lambda: self._create(payload), self._timeout_s, again=_AGAIN)
        if entry is None:
            return None
        named = MessageSignature(f"SHA2_{algorithm.removeprefix('sha')}", digest, signature)
        bundle = encode_logged(named, hint=self._key.hint, entry=entry)
        self._require_proof(bundle, content)
        return bundle

    def _create(self, payload: Any) -> Mapping[str, Any] | None:
        from requests import HTTPError
        from sigstore._internal.rekor import RekorClientError

        try:
            entry: Mapping[str, Any] = self._client.create_entry(payload)._inner.to_dict()
        except RekorClientError as error:
            cause = error.__context__
            answer = cause.response if isinstance(cause, HTTPError) else None
            if answer is None or answer.status_code != _CONFLICT:
                raise
            return None
        return entry

    def _require_proof(self, bundle: bytes, content: bytes) -> None:
        try:
            signer_of_content(bundle, content, rule=TrustRule((self._key,)), authority=self._authority)
        except Refused as refused:
            raise SoftVerifyToolError(
                "the log took the checkpoint, and does not prove it",
                expected="a log entry that the trusted root vouches for",
                found=shown(f"{refused.check.value}: {refused.why}"),
                remedy=f"check that trusted_root and signing_config in [trust] are of one Sigstore; {_AGAIN}",
            ) from None


def _kind(key: PublicKey) -> tuple[str, str]:
    """How Sigstore's registry of algorithms calls the key, and the hash that goes with it."""
    from cryptography.hazmat.primitives.asymmetric import ec, rsa
    from cryptography.hazmat.primitives.serialization import load_der_public_key

    read = load_der_public_key(key.der)
    if isinstance(read, ec.EllipticCurvePublicKey):
        curve, bits = _CURVES[read.curve.name]
        return f"PKIX_ECDSA_{curve}_SHA_{bits}", f"sha{bits}"
    if isinstance(read, rsa.RSAPublicKey) and read.key_size in _RSA_BITS:
        return f"PKIX_RSA_PKCS1V15_{read.key_size}_SHA256", "sha256"
    raise ConfigInvalid(
        "the log does not take signatures by this key",
        expected="ECDSA, or RSA of 2048, 3072 or 4096 bits",
        found=f"RSA of {read.key_size} bits"
        if isinstance(read, rsa.RSAPublicKey)
        else "Ed25519, which Rekor takes pre-hashed only (Ed25519ph), and no checkpoint is signed so",
        remedy="name another key in [trust], or set anchor_in_rekor = false in [ledger]",
    )


def _client(services: Services, timeout_s: float) -> "RekorV2Client":
    from sigstore._internal.rekor.client_v2 import RekorV2Client

    addresses, _ = services.read(timeout_s)
    for client in addresses.get_tlogs():
        if isinstance(client, RekorV2Client):
            return client
    raise ConfigInvalid(
        "this Sigstore has no log that a checkpoint can be entered in",
        expected="a Rekor of API version 2 among the signing config's rekorTlogUrls",
        found="none",
        remedy="name a signing config that has one in [trust] signing_config",
    )


def _request(digest: bytes, signature: bytes, key: PublicKey, details: str) -> Any:
    """The body of the request, as the library's client takes it."""

    def text(content: bytes) -> str:
        return base64.b64encode(content).decode()

    verifier: Mapping[str, Any] = {"publicKey": {"rawBytes": text(key.der)}, "keyDetails": details}
    return {
        "hashedRekordRequestV002": {
            "digest": text(digest),
            "signature": {"content": text(signature), "verifier": verifier},
        }
    }
