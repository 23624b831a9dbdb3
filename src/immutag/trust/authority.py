"""Certificates, logs and timestamps against a root of trust (Sigstore's client specification).

What Sigstore's tools make today is verified by the `sigstore` library, whole. Three forms it does not take:
certificates of an authority whose root names no log (GitHub's, for private repositories: a signed timestamp
and nothing else), log entries of a few kinds, and cosign's legacy layer. For these the same checks are made
here, by the library's parts. A root of trust is fixed while it is used, so this is pure, and for all threads.
"""

import base64
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from immutag.core.facts import SignatureReason
from immutag.core.trust import IdentityRule
from immutag.core.values import shown
from immutag.trust.formats.bundle import Bundle, CertificateChain, Message
from immutag.trust.formats.certificate import identity_of
from immutag.trust.formats.dsse import Envelope
from immutag.trust.formats.legacy import LegacySignature, LogPromise
from immutag.trust.formats.log_entry import Signed, check_entry
from immutag.trust.formats.malformed import Malformed
from immutag.trust.in_use import at_second, in_use, issued, promised
from immutag.trust.judgement import Check, Refused, invalid, unknown
from immutag.trust.public_key import PublicKey

if TYPE_CHECKING:
    from cryptography.x509 import Certificate
    from sigstore._internal.trust import RekorKeyring
    from sigstore.models import TrustedRoot
    from sigstore.verify import Verifier


_BEYOND_LIBRARY = ({"kind": "intoto", "version": "0.0.2"}, {"kind": "dsse", "version": "0.0.2"})
"""npm's and older cosign's attestations, and cosign 2.6 with Rekor v2."""
_NO_LOG = "the trusted root names no log, and one is required"


class Authorities:
    """Roots of trust, each for its own certificates: `checks.Authority`."""

    def __init__(self, roots: "Sequence[TrustedRoot]") -> None:
        """Raises sigstore's Error, ValueError for a root that cannot be used."""
        self._roots = [_Root(root) for root in roots]

    def check_bundle(
        self, bundle: Bundle, chain: CertificateChain, envelope: Envelope, trusted: tuple[IdentityRule, ...]
    ) -> str:
        """Checks 4 to 7 of a bundle with a certificate; whom it names. Raises Refused."""
        leaf = _certificate(chain.leaf)
        root = self._of(leaf)
        signature = envelope.signatures[0].value
        _check_signature(leaf, signature, envelope.signed())
        root = root.as_used(bundle, signature, leaf)
        if root.verifier and not _is_beyond_library(bundle):
            return check_by_library(root.verifier, bundle, envelope, trusted)
        times = root.timestamps(bundle.timestamps, signature)
        if root.logs:
            signed = Signed(envelope.signed(), envelope.payload, signature, chain.leaf)
            times += check_log(root.logs, bundle, signed)
        return root.check_times(leaf, times, trusted)

    def check_legacy(self, legacy: LegacySignature, trusted: tuple[IdentityRule, ...]) -> str:
        """The same of cosign's legacy form. Raises Refused."""
        leaf = _certificate(legacy.chain[0])
        root = self._of(leaf)
        _check_signature(leaf, legacy.signature, legacy.payload)
        stamps = (legacy.timestamp,) if legacy.timestamp else ()
        times = root.timestamps(stamps, legacy.signature)
        said = [at_second(legacy.promise.time)] if legacy.promise else []
        root = root.at([*times, *said], issued(leaf))
        if root.logs:
            times.append(check_promise(root.logs, legacy, legacy.chain[0]))
        return root.check_times(leaf, times, trusted)

    def check_message(
        self, bundle: Bundle, chain: CertificateChain, message: Message, trusted: tuple[IdentityRule, ...]
    ) -> str:
        """Checks 4 to 7 of a bare signature with a certificate; whom it names. Without a log in the root that
        is nobody. Raises Refused."""
        leaf = _certificate(chain.leaf)
        root = self._of(leaf)
        _check_signature(leaf, message.signature, message.content)
        root = root.as_used(bundle, message.signature, leaf)
        if root.verifier is None:
            raise invalid(Check.LOG, _NO_LOG)
        return check_message_by_library(root.verifier, bundle, message, trusted)

    def check_bundle_log(self, bundle: Bundle, signed: Signed) -> None:
        """8: one of the logs proves that it holds the key's signature. Raises Refused."""
        self._by_any_log(promised(bundle.log_entries), lambda logs: check_log(logs, bundle, signed))

    def check_legacy_log(self, legacy: LegacySignature, key: PublicKey) -> None:
        """8: one of the logs promised to hold the key's signature. Raises Refused."""
        said = [at_second(legacy.promise.time)] if legacy.promise else []
        self._by_any_log(said, lambda logs: check_promise(logs, legacy, key.der))

    def _by_any_log(self, times: Sequence[datetime], check: "Callable[[RekorKeyring], object]") -> None:
        """That the logs of one root, of those in use at these times, pass the check."""
        refused = invalid(Check.LOG, _NO_LOG)
        for root in [root for root in self._roots if root.logs]:
            try:
                logs = root.at(times).logs
                if logs is None:
                    continue
                check(logs)
            except Refused as error:
                refused = error
            else:
                return
        raise refused

    def _of(self, leaf: "Certificate") -> "_Root":
        """4: the root whose authority made the certificate, or claims to have."""
        found = [root for root in self._roots if root.knows(leaf)]
        if not found:
            raise unknown(
                f"a certificate of an authority that we do not know: {shown(leaf.issuer.rfc4514_string())}"
            )
        return found[0]


class _Root:
    """One root of trust, its keys read. Without logs it vouches by timestamps alone."""

    def __init__(self, root: "TrustedRoot") -> None:
        from sigstore._internal.trust import KeyringPurpose
        from sigstore.verify import Verifier

        self._root = root
        self._at: dict[tuple[int, ...], _Root] = {}
        inner = root._inner  # the library shows no part of a root but what its own verifier asks for
        self._authorities = root.get_fulcio_certs() if inner.certificate_authorities else []
        self._timestamping = root.get_timestamp_authorities()
        self._ct_logs = root.ct_keyring(KeyringPurpose.VERIFY) if inner.ctlogs else None
        self.logs = root.rekor_keyring(KeyringPurpose.VERIFY) if inner.tlogs else None
        self.verifier = Verifier(trusted_root=root) if inner.tlogs and self._authorities else None

    def knows(self, leaf: "Certificate") -> bool:
        """Whether one of its authorities made the certificate, or is named as the one who did."""
        return any(_made(leaf, authority) for authority in self._authorities)

    def as_used(self, bundle: Bundle, signature: bytes, leaf: "Certificate") -> "_Root":
        """Itself as it was when the signature was made: by all times that the bundle has. Raises Refused."""
        times = [*self.timestamps(bundle.timestamps, signature), *promised(bundle.log_entries)]
        return self.at(times, issued(leaf))

    def at(self, times: Sequence[datetime], issued: Sequence[datetime] = ()) -> "_Root":
        """Itself without what was not in use at one of the times. Raises Refused where no log is left."""
        inner = self._root._inner
        left = in_use(inner, times, issued)
        if all(len(parts) == len(getattr(inner, name)) for name, parts in left.items()):
            return self
        key = tuple(id(each) for parts in left.values() for each in parts)
        if key not in self._at:
            from sigstore.errors import Error

            try:
                self._at[key] = _Root(type(self._root)(inner.model_copy(update=left)))
            except Error as error:  # what begins in the future only
                raise invalid(Check.LOG, _words(error)) from error
        return self._at[key]

    def check_times(
        self, leaf: "Certificate", times: Sequence[datetime], trusted: tuple[IdentityRule, ...]
    ) -> str:
        """6 and 7, where the log is checked already or there is none."""
        if not times:
            raise invalid(Check.CERTIFICATE, "no time that somebody whom we trust has signed")
        try:
            self._check_chain(leaf, times)
        except Exception as error:
            raise invalid(Check.CERTIFICATE, _words(error)) from error
        policy = _Policy(trusted)
        policy.verify(leaf)
        return policy.signer

    def timestamps(self, responses: Sequence[bytes], signature: bytes) -> list[datetime]:
        """The times that our timestamp authorities have signed over the signature."""
        return [
            time for response in dict.fromkeys(responses) for time in self._timestamp(response, signature)
        ]

    def _timestamp(self, response: bytes, signature: bytes) -> Iterator[datetime]:
        from rfc3161_client import VerificationError, VerifierBuilder, decode_timestamp_response

        try:
            stamp = decode_timestamp_response(response)
        except ValueError as error:
            raise invalid(Check.CERTIFICATE, f"a timestamp that is none: {_words(error)}") from error
        for authority in self._timestamping:
            signer, *others = authority.certificates(allow_expired=True)
            time = stamp.tst_info.gen_time
            within = authority.validity_period_start <= time and (
                authority.validity_period_end is None or time <= authority.validity_period_end
            )
            if not others or not within:
                continue
            builder = VerifierBuilder().tsa_certificate(signer).add_root_certificate(others[-1])
            for each in others[:-1]:
                builder = builder.add_intermediate_certificate(each)
            try:
                builder.build().verify_message(stamp, signature)
            except (VerificationError, ValueError):
                continue
            yield time
            return

    def _check_chain(self, leaf: "Certificate", times: Sequence[datetime]) -> None:
        from cryptography.x509 import ExtendedKeyUsage, KeyUsage
        from cryptography.x509.oid import ExtendedKeyUsageOID
        from cryptography.x509.verification import Criticality, ExtensionPolicy, PolicyBuilder, Store
        from sigstore._internal.sct import verify_sct

        # the defaults want client authentication; Fulcio's certificates are for code signing, checked below
        usage = (ExtendedKeyUsage, Criticality.NON_CRITICAL, None)
        ca = ExtensionPolicy.webpki_defaults_ca().may_be_present(*usage)
        end = ExtensionPolicy.webpki_defaults_ee().may_be_present(*usage)
        builder = PolicyBuilder().store(Store(self._authorities))
        builder = builder.extension_policies(ca_policy=ca, ee_policy=end)
        for time in times:
            chain = builder.time(time).build_client_verifier().verify(leaf, []).chain
            if self._ct_logs is not None:
                verify_sct(leaf, chain[1:], self._ct_logs)
        if not leaf.extensions.get_extension_for_class(KeyUsage).value.digital_signature:
            raise ValueError("a certificate that is not for signing")
        purposes = leaf.extensions.get_extension_for_class(ExtendedKeyUsage).value
        if ExtendedKeyUsageOID.CODE_SIGNING not in purposes:
            raise ValueError("a certificate that is not for signing code")


def _is_beyond_library(bundle: Bundle) -> bool:
    """Whether its log entry is of a kind that the library does not take, but tools write all the same."""
    return any(entry.get("kindVersion") in _BEYOND_LIBRARY for entry in bundle.log_entries)


def check_by_library(
    verifier: "Verifier", bundle: Bundle, envelope: Envelope, trusted: tuple[IdentityRule, ...]
) -> str:
    """6 and 7: time, chain, SCT, identity, the log's proof and what it holds; whom the certificate names."""
    from sigstore.models import Bundle as LibraryBundle

    policy = _Policy(trusted)
    try:
        found = verifier.verify_dsse(LibraryBundle.from_json(_for_library(bundle.raw)), policy)
    except Refused:
        raise
    except Exception as error:  # it lets through whatever its parsers raise
        raise invalid(Check.CERTIFICATE, _words(error)) from error
    if found != (envelope.payload_type, envelope.payload):
        raise invalid(Check.CERTIFICATE, "two readers of the bundle see two statements")
    return policy.signer


def check_message_by_library(
    verifier: "Verifier", bundle: Bundle, message: Message, trusted: tuple[IdentityRule, ...]
) -> str:
    """The same of a bare signature."""
    from sigstore.models import Bundle as LibraryBundle

    policy = _Policy(trusted)
    try:
        verifier.verify_artifact(message.content, LibraryBundle.from_json(_for_library(bundle.raw)), policy)
    except Refused:
        raise
    except Exception as error:  # as above
        raise invalid(Check.CERTIFICATE, _words(error)) from error
    return policy.signer


def check_log(logs: "RekorKeyring", bundle: Bundle, signed: Signed) -> list[datetime]:
    """8: the log holds an entry about this signature; since when, if it promised to."""
    if len(bundle.log_entries) != 1:  # of several, who is to say which one counts
        raise invalid(Check.LOG, f"one log entry is required, and there are {len(bundle.log_entries)}")
    entry = bundle.log_entries[0]
    check_entry(check_inclusion(logs, entry), signed)
    if not entry.get("inclusionPromise") or not entry.get("integratedTime"):
        return []  # without a promise nobody has signed the time
    return [at_second(entry["integratedTime"])]


def check_inclusion(logs: "RekorKeyring", entry: Mapping[str, Any]) -> bytes:
    """8: the log proves that it holds the entry, whose body this is."""
    from sigstore.models import TransparencyLogEntry
    from sigstore_models.rekor.v1 import TransparencyLogEntry as Entry

    try:
        read = Entry.from_json(json.dumps(_spelled_out(entry)))
        TransparencyLogEntry(read)._verify(logs)
    except Exception as error:
        raise invalid(Check.LOG, _words(error)) from error
    body: bytes = read.canonicalized_body
    return body


def _for_library(raw: bytes) -> str:
    """A bundle, its log entries spelled out."""
    document = json.loads(raw)
    material = document["verificationMaterial"]
    material["tlogEntries"] = [_spelled_out(each) for each in material.get("tlogEntries") or ()]
    return json.dumps(document)


def _spelled_out(entry: Mapping[str, Any]) -> dict[str, Any]:
    """With the zeros and empty lists that Protobuf's JSON leaves out and the library wants: the first entry
    of a log has them."""
    proof = entry.get("inclusionProof")
    found = {"logIndex": "0", "integratedTime": "0", **entry}
    if isinstance(proof, dict):
        found["inclusionProof"] = {"logIndex": "0", "hashes": [], **proof}
    return found


def check_promise(logs: "RekorKeyring", legacy: LegacySignature, verifier: bytes) -> datetime:
    """8: since when the log promised to hold an entry about this signature."""
    if legacy.promise is None:
        raise invalid(Check.LOG, "no log entry, and one is required")
    _check_set(logs, legacy.promise)
    try:
        body = base64.b64decode(legacy.promise.body, validate=True)
    except ValueError:
        raise invalid(Check.LOG, "a log entry that is none") from None
    check_entry(body, Signed(legacy.payload, legacy.payload, legacy.signature, verifier))
    return at_second(legacy.promise.time)


def _check_set(logs: "RekorKeyring", promise: LogPromise) -> None:
    """The signed entry timestamp: a signature over canonical JSON (RFC 8785)."""
    from sigstore._utils import KeyID

    signed = {
        "body": promise.body,
        "integratedTime": promise.time,
        "logID": promise.log,
        "logIndex": promise.index,
    }
    content = json.dumps(signed, separators=(",", ":"), sort_keys=True).encode()
    try:
        logs.verify(key_id=KeyID(bytes.fromhex(promise.log)), signature=promise.signature, data=content)
    except Exception as error:
        raise invalid(Check.LOG, f"the log's promise: {_words(error)}") from error


class _Policy:
    """The library's policy protocol: one of our rules, or our own refusal, so that somebody else's valid
    certificate is told apart from an invalid one. Without rules it refuses everybody."""

    def __init__(self, trusted: tuple[IdentityRule, ...]) -> None:
        self._trusted = trusted
        self._signer: str | None = None

    @property
    def signer(self) -> str:
        """Whom the certificate names. Raises Refused where no certificate has passed."""
        if self._signer is None:
            raise invalid(Check.IDENTITY, "nobody was asked who it is")
        return self._signer

    def verify(self, cert: "Certificate") -> None:
        """7: the identity is one that we trust. Raises Refused."""
        from cryptography.hazmat.primitives.serialization import Encoding

        try:
            found = identity_of(cert.public_bytes(Encoding.DER))
        except Malformed as malformed:
            raise invalid(Check.IDENTITY, f"{malformed.message}: {malformed.found}") from None
        if not any(rule.matches(issuer=found.issuer, subject=found.subject) for rule in self._trusted):
            raise Refused(Check.IDENTITY, SignatureReason.IDENTITY_MISMATCH, f"by somebody else: {found}")
        self._signer = str(found)


def _certificate(der: bytes) -> "Certificate":
    from cryptography.x509 import load_der_x509_certificate

    try:
        return load_der_x509_certificate(der)
    except ValueError as error:
        raise invalid(Check.FORM, f"its certificate cannot be read: {_words(error)}") from error


def _made(leaf: "Certificate", authority: "Certificate") -> bool:
    try:
        leaf.verify_directly_issued_by(authority)
    except Exception:  # noqa: BLE001 - another name, key or signature; each has its own error
        return _named(leaf, authority)
    return True


def _named(leaf: "Certificate", authority: "Certificate") -> bool:
    """Whether the certificate says that this authority's key made it: then it is to blame, not unknown."""
    from cryptography.x509 import AuthorityKeyIdentifier, SubjectKeyIdentifier

    try:
        wanted = leaf.extensions.get_extension_for_class(AuthorityKeyIdentifier).value.key_identifier
        own = authority.extensions.get_extension_for_class(SubjectKeyIdentifier).value.digest
    except Exception:  # noqa: BLE001 - none, or damaged
        return False
    return wanted == own


def _check_signature(leaf: "Certificate", signature: bytes, content: bytes) -> None:
    """5: the certificate's key made the signature."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    from immutag.core.errors import ConfigInvalid

    try:
        key = PublicKey(leaf.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    except Exception as error:
        found = error.found if isinstance(error, ConfigInvalid) else _words(error)
        raise invalid(Check.SIGNATURE, f"its certificate's key cannot be used: {found}") from error
    if not key.verify(signature, content):
        raise invalid(Check.SIGNATURE, "not a signature by its certificate's key")


def _words(error: BaseException) -> str:
    return shown(" ".join(str(error).split()) or type(error).__name__)
