"""What an attestation says: its predicate type, whom it is about, who it says signed it. Nothing is verified.

Whatever form it lies in (a Sigstore bundle, cosign's envelope, BuildKit's bare statement, something unknown)
it is listed: what cannot be read says why.
"""

import base64
import re
from collections.abc import Mapping

from immutag.core.frozen import frozen
from immutag.core.statement import PAYLOAD_TYPE
from immutag.core.values import Digest, shown
from immutag.trust.attached import Attached, Kind
from immutag.trust.formats.bundle import Bundle, CertificateChain, KeyHint, parse_bundle
from immutag.trust.formats.certificate import identity_of
from immutag.trust.formats.dsse import Envelope, parse_envelope
from immutag.trust.formats.in_toto import parse_statement
from immutag.trust.formats.malformed import Malformed, base64_bytes
from immutag.trust.formats.simple_signing import CERTIFICATE, parse_simple

_PREDICATES = (
    "in-toto.io/predicate-type",  # BuildKit
    "dev.sigstore.bundle.predicateType",
    "predicateType",  # cosign's .att
)
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]*)-----END CERTIFICATE-----\s*")
_SHA256_BYTES = 32


@frozen()
class Said:
    """What something attached says of itself.

    `predicate_type` is None for what is no statement; `signer` for what is not signed. `problem`: why it
    could not be read.
    """

    predicate_type: str | None
    subjects: frozenset[Digest]
    signer: str | None
    problem: str | None

    def is_about(self, digest: Digest) -> bool:
        """Whether it says so; what names no subject itself is about what it lies on."""
        return not self.subjects or digest in self.subjects


def read(attached: Attached) -> Said:
    """What it says. Never raises: a document that is malformed says so."""
    announced = _announced(attached)
    if attached.content is None:
        problem = attached.unread.value if attached.unread else "it was not read"
        return Said(announced, frozenset(), None, problem)
    try:
        return _read(attached, attached.content, announced)
    except Malformed as error:
        return Said(announced, frozenset(), None, f"{error.message}: {error.found}")


def _read(attached: Attached, content: bytes, announced: str | None) -> Said:
    match attached.kind:
        case Kind.BUNDLE:
            bundle = parse_bundle(content)
            return _enveloped(bundle.content, _signer(bundle), announced)
        case Kind.ENVELOPE:
            return _enveloped(parse_envelope(content), _legacy_signer(attached.layer_annotations), announced)
        case Kind.LEGACY:
            about = frozenset({parse_simple(content).digest})
            return Said(None, about, _legacy_signer(attached.layer_annotations), None)
        case _ if attached.layer.media_type == PAYLOAD_TYPE:
            return _statement(content, None)
        case _:
            return Said(announced, frozenset(), None, None)


def _enveloped(content: object, signer: str, announced: str | None) -> Said:
    if isinstance(content, Envelope) and content.payload_type == PAYLOAD_TYPE:
        return _statement(content.payload, signer)
    return Said(announced, frozenset(), signer, None)


def _statement(payload: bytes, signer: str | None) -> Said:
    statement = parse_statement(payload)
    subjects = frozenset(subject.digest for subject in statement.subjects)
    return Said(statement.predicate_type, subjects, signer, None)


def _announced(attached: Attached) -> str | None:
    """The predicate type that its annotations promise: for what cannot be read itself."""
    for annotations in (attached.layer_annotations, attached.annotations):
        for name in _PREDICATES:
            if annotations.get(name):
                return annotations[name]
    return None


def _signer(bundle: Bundle) -> str:
    match bundle.material:
        case KeyHint(hint=hint):
            return _key(hint)
        case CertificateChain(leaf=leaf):
            return _identity(leaf)


def _legacy_signer(annotations: Mapping[str, str]) -> str:
    """cosign's old forms keep the certificate beside the signature; a key is not named at all."""
    found = _PEM.match(annotations.get(CERTIFICATE, ""))
    if found is None:
        return "a key"
    try:
        return _identity(base64.b64decode("".join(found[1].split()), validate=True))
    except ValueError:
        return "a certificate that cannot be read"


def _identity(certificate: bytes) -> str:
    try:
        return str(identity_of(certificate))
    except Malformed:
        return "a certificate that cannot be read"


def _key(hint: str) -> str:
    """A key as everything here calls it, where the hint is the hash that cosign writes."""
    try:
        hashed = base64_bytes(hint, "hint")
    except Malformed:
        hashed = b""
    if len(hashed) == _SHA256_BYTES:
        return f"key sha256:{hashed.hex()}"
    return f"key {shown(hint)}" if hint else "a key"
