"""Signing without a key of one's own: Sigstore vouches for who asked, and a log keeps that it did (DR-018).

A key is made for this process alone, Fulcio certifies it for an identity that the CI or the environment
proves, and each signature is entered in a transparency log and timestamped. There is no secret to keep, and
nothing that could sign once the certificate's ten minutes are over.
"""

import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from immutag.core.errors import SoftVerifyToolError
from immutag.trust.asked import asked
from immutag.trust.formats.bundle import parse_bundle
from immutag.trust.formats.certificate import Identity, identity_of
from immutag.trust.signing.identity_token import identity_token
from immutag.trust.signing.services import Services

if TYPE_CHECKING:
    from cryptography.x509 import Certificate
    from sigstore.sign import Signer as CertifiedKey
    from sigstore.sign import SigningContext

_TIMEOUT_S = 60.0
_MARGIN = timedelta(minutes=1)


class KeylessSigner:
    """A `Signer` for the identity of whoever runs it, for all threads.

    The token is looked for at once; the certificate is asked for when it is first needed, and another one
    when its time is nearly over: a build may take longer than it lasts.
    """

    __slots__ = ("_certified", "_context", "_lock", "_timeout_s", "_token")

    def __init__(self, services: Services, *, timeout_s: float = _TIMEOUT_S) -> None:
        """`timeout_s` bounds each request. Raises ConfigInvalid where there is no identity token or a file
        cannot be used, SoftVerifyToolError where a service does not do its part."""
        self._timeout_s = timeout_s
        self._token = identity_token()
        self._context = _context(services, timeout_s)
        self._lock = threading.Lock()
        self._certified: tuple[CertifiedKey, Certificate] | None = None

    @property
    def name(self) -> str:
        return str(self.identity)

    @property
    def identity(self) -> Identity:
        """Whom the certificate names."""
        from cryptography.hazmat.primitives.serialization import Encoding

        return identity_of(self._key()[1].public_bytes(Encoding.DER))

    def bundle(self, statement: bytes) -> bytes:
        """A bundle with the statement, its log entry and its timestamp: about a second, most of it waiting
        for the log."""
        from sigstore.dsse import Statement

        key, _ = self._key()
        made = asked("sign", lambda: key.sign_dsse(Statement(statement)).to_json(), self._timeout_s)
        return _dated(made.encode())

    def over(self, content: bytes) -> bytes:
        """A bundle with a bare signature over the content, which is not in it; otherwise as `bundle`."""
        key, _ = self._key()
        made = asked("sign", lambda: key.sign_artifact(content).to_json(), self._timeout_s)
        return _dated(made.encode())

    def simple(self, payload: bytes) -> None:
        """There is none: the old form's proof is a promise of Rekor v1's, and Rekor v2 makes none."""

    def _key(self) -> "tuple[CertifiedKey, Certificate]":
        with self._lock:
            now = datetime.now(UTC)
            if self._certified is None or self._certified[1].not_valid_after_utc < now + _MARGIN:
                if not self._token.in_validity_period():
                    self._token = identity_token()
                self._certified = asked("certify a key", self._certify, self._timeout_s)
            return self._certified

    def _certify(self) -> "tuple[CertifiedKey, Certificate]":
        """A key and its certificate, which is in the log of all that Fulcio certifies: that is checked."""
        from sigstore.sign import Signer

        key = Signer(self._token, self._context, cache=True)
        return key, key._signing_cert()  # the library shows it only in what was signed, and `name` is before

    def __repr__(self) -> str:
        return "KeylessSigner()"


def _context(services: Services, timeout_s: float) -> "SigningContext":
    from sigstore.sign import SigningContext

    addresses, root = services.read(timeout_s)
    return SigningContext(
        fulcio=addresses.get_fulcio(),
        rekor=addresses.get_tlogs()[0],
        trusted_root=root,
        tsa_clients=addresses.get_tsas(),
    )


def _dated(bundle: bytes) -> bytes:
    """The bundle, if it proves when it was made. The library goes on where a timestamp authority fails."""
    read = parse_bundle(bundle)
    if read.timestamps or any("inclusionPromise" in entry for entry in read.log_entries):
        return bundle
    raise SoftVerifyToolError(
        "Sigstore gave a signature without its time, which nobody could verify",
        expected="a signed timestamp, or a log that promises one",
        found="neither",
        remedy="once more: immutag release; or name a timestamp authority in the signing config",
    )
