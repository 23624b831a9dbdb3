"""The checks that something attached must pass before it vouches for an image. Pure: bytes in, a verdict out.

`Check` numbers them; each is one function here, and `judge` is the order in which they run:

    1 content      it was read, whole
    2 form         a bundle around an in-toto statement, or cosign's legacy layer; nothing malformed
    3 statement    of a kind that vouches: a signature's, or a provenance
    4 signer       a key that we trust, or a certificate of an authority that we trust
    5 signature    by that key, or by the certificate's
    6 certificate  its chain, its SCT, the time it was used at, the log's proof   (trust/authority.py)
    7 identity     one that we trust                                              (trust/authority.py)
    8 transparency log   for keys, where the rule asks for it                     (trust/formats/log_entry.py)
    9 subject      the image is what was signed
    10 repository  legacy only: it says for which repository

What is refused before 4 may be anybody's. What a signer said is believed only after 5 to 8.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from immutag.core.facts import SignatureReason
from immutag.core.frozen import frozen
from immutag.core.statement import (
    COSIGN_SIGN,
    PAYLOAD_TYPE,
    SLSA_PROVENANCE,
    SLSA_PROVENANCE_V02,
    Statement,
)
from immutag.core.trust import IdentityRule
from immutag.core.values import Digest, Repository, shown
from immutag.trust.attached import Attached, Kind
from immutag.trust.formats.bundle import (
    Bundle,
    CertificateChain,
    KeyHint,
    Message,
    MessageSignature,
    parse_bundle,
)
from immutag.trust.formats.dsse import Envelope
from immutag.trust.formats.in_toto import parse_statement
from immutag.trust.formats.legacy import LegacySignature, parse_legacy
from immutag.trust.formats.log_entry import Signed
from immutag.trust.formats.malformed import Malformed
from immutag.trust.formats.simple_signing import TYPE
from immutag.trust.judgement import Accepted, Check, Refused, invalid, unknown
from immutag.trust.public_key import PublicKey
from immutag.trust.rule import TrustRule

VOUCHING = (COSIGN_SIGN, SLSA_PROVENANCE, SLSA_PROVENANCE_V02)
"""The predicate types of statements that vouch for an image. By an SBOM or a scan nobody says "run this"."""


class Authority(Protocol):
    """What only a root of trust can answer. Every method raises Refused."""

    def check_bundle(
        self, bundle: Bundle, chain: CertificateChain, envelope: Envelope, trusted: tuple[IdentityRule, ...]
    ) -> str:
        """Checks 4 to 7 of a bundle with a certificate; whom it names."""
        ...

    def check_legacy(self, legacy: LegacySignature, trusted: tuple[IdentityRule, ...]) -> str:
        """The same of cosign's legacy form."""
        ...

    def check_message(
        self, bundle: Bundle, chain: CertificateChain, message: Message, trusted: tuple[IdentityRule, ...]
    ) -> str:
        """The same of a bare signature over content that is elsewhere."""
        ...

    def check_bundle_log(self, bundle: Bundle, signed: Signed) -> None:
        """That a log holds a key's signature."""
        ...

    def check_legacy_log(self, legacy: LegacySignature, key: PublicKey) -> None:
        """The same of cosign's legacy form."""
        ...


@frozen()
class Case:
    """What is being decided: whether something vouches for this image, by this rule. `authority` is asked for
    when something needs it."""

    subject: Digest
    repository: Repository
    rule: TrustRule
    authority: Callable[[], Authority]


def judge(attached: Attached, case: Case) -> Accepted:
    """Who vouches by it. Raises Refused, with the first check that it does not pass."""
    content = check_content(attached)
    if attached.kind is Kind.BUNDLE:
        return _judge_bundle(content, case)
    if attached.kind is Kind.LEGACY:
        return _judge_legacy(content, attached, case)
    raise unknown("a signature of a form that is not verified here")


def attested_by(content: bytes, case: Case) -> tuple[str, Statement]:
    """Who says what in a bundle about the image, whatever it is: all checks but the third. Raises Refused."""
    bundle, envelope, statement = check_bundle_form(content)
    signer = _bundle_signer(bundle, envelope, case)
    check_subject(statement, case.subject)
    return signer, statement


def _bundle_signer(bundle: Bundle, envelope: Envelope, case: Case) -> str:
    """Checks 4 to 8."""
    if isinstance(bundle.material, CertificateChain):
        check_identities(case.rule)
        return case.authority().check_bundle(bundle, bundle.material, envelope, case.rule.identities)
    key = check_key(bundle.material, envelope, case.rule)
    if case.rule.transparency_log:
        signature = envelope.signatures[0].value
        signed = Signed(envelope.signed(), envelope.payload, signature, key.der)
        case.authority().check_bundle_log(bundle, signed)
    return key.name


def _judge_bundle(content: bytes, case: Case) -> Accepted:
    bundle, envelope, statement = check_bundle_form(content)
    check_statement(statement)
    signer = _bundle_signer(bundle, envelope, case)
    check_subject(statement, case.subject)
    return Accepted(signer)


def _judge_legacy(content: bytes, attached: Attached, case: Case) -> Accepted:
    legacy = check_legacy_form(content, attached)
    if legacy.chain:
        check_identities(case.rule)
        signer = case.authority().check_legacy(legacy, case.rule.identities)
    else:
        key = check_legacy_key(legacy, case.rule)
        if case.rule.transparency_log:
            case.authority().check_legacy_log(legacy, key)
        signer = key.name
    check_legacy_subject(legacy, case.subject)
    check_repository(legacy, case.repository)
    return Accepted(signer)


# --- the checks


def check_content(attached: Attached) -> bytes:
    """1: it was read, and is what the manifest names."""
    if attached.content is None:
        why = attached.unread.value if attached.unread else "it was not read"
        raise invalid(Check.CONTENT, f"{attached.layer.digest}: {why}")
    return attached.content


def check_bundle_form(content: bytes) -> tuple[Bundle, Envelope, Statement]:
    """2: a bundle whose envelope holds an in-toto statement.

    A bundle may also hold a bare signature over bytes that are elsewhere; no tool signs an image so.
    """
    try:
        bundle = parse_bundle(content)
        if not isinstance(bundle.content, Envelope):
            raise invalid(Check.FORM, "a signature over bytes, not over a statement about an image")
        if bundle.content.payload_type != PAYLOAD_TYPE:
            raise invalid(Check.FORM, f"a payload of another type: {shown(bundle.content.payload_type)}")
        return bundle, bundle.content, parse_statement(bundle.content.payload)
    except Malformed as malformed:
        raise _malformed(malformed) from None


def check_message_form(content: bytes) -> tuple[Bundle, MessageSignature]:
    """2: a bundle with a bare signature over content that is elsewhere."""
    try:
        bundle = parse_bundle(content)
    except Malformed as malformed:
        raise _malformed(malformed) from None
    if not isinstance(bundle.content, MessageSignature):
        raise invalid(Check.FORM, "an envelope, not a signature over content that is elsewhere")
    return bundle, bundle.content


def check_legacy_form(content: bytes, attached: Attached) -> LegacySignature:
    """2: a layer with a payload, and a signature beside it."""
    try:
        return parse_legacy(content, attached.layer_annotations)
    except Malformed as malformed:
        raise _malformed(malformed) from None


def check_statement(statement: Statement) -> None:
    """3: it vouches, by its kind. Other statements are not refused as signatures: they are none."""
    if statement.predicate_type not in VOUCHING:
        kind = shown(statement.predicate_type)
        raise Refused(Check.STATEMENT, SignatureReason.MISSING, f"it vouches for nothing: {kind}")


def check_identities(rule: TrustRule) -> None:
    """4, before any certificate is looked at: there are identities that we trust."""
    if not rule.identities:
        raise unknown("a certificate's signature, and no identity is trusted")


def check_key(material: KeyHint, envelope: Envelope, rule: TrustRule) -> PublicKey:
    """4 and 5: a trusted key made the signature. The hint only says which key it is not worth blaming."""
    return _key_of(material, [Message(each.value, envelope.signed()) for each in envelope.signatures], rule)


def check_message_key(material: KeyHint, message: Message, rule: TrustRule) -> PublicKey:
    """4 and 5 of a bare signature."""
    return _key_of(material, [message], rule)


def _key_of(material: KeyHint, signatures: Sequence[Message], rule: TrustRule) -> PublicKey:
    named = [key for key in rule.keys if material.hint and key.hint == material.hint]
    for key in named or rule.keys:
        if any(key.verify(each.signature, each.content) for each in signatures):
            return key
    if named:
        raise invalid(Check.SIGNATURE, f"not a signature by {named[0].name}, which it names")
    raise unknown(_no_key(rule))


def check_legacy_key(legacy: LegacySignature, rule: TrustRule) -> PublicKey:
    """4 and 5 at once: cosign's legacy form does not say whose it is."""
    for key in rule.keys:
        if key.verify(legacy.signature, legacy.payload):
            return key
    raise unknown(_no_key(rule))


def check_subject(statement: Statement, subject: Digest) -> None:
    """9: the image is one of the statement's subjects."""
    if not statement.is_about(subject):
        others = ", ".join(str(each.digest) for each in statement.subjects[:3])
        raise invalid(Check.SUBJECT, f"it is about another image: {others}")


def check_legacy_subject(legacy: LegacySignature, subject: Digest) -> None:
    """9: the payload is an image's signature, and of this image."""
    if legacy.claim.kind != TYPE:
        raise invalid(Check.SUBJECT, f"it is not an image's signature: {shown(legacy.claim.kind)}")
    if legacy.claim.digest != subject:
        raise invalid(Check.SUBJECT, f"it is about another image: {legacy.claim.digest}")


def check_repository(legacy: LegacySignature, repository: Repository) -> None:
    """10: the payload names this repository, or none."""
    reference = legacy.claim.reference
    if reference and _repository_in(reference) != _canonical(str(repository)):
        raise invalid(Check.REPOSITORY, f"it is about an image in another repository: {shown(reference)}")


# --- between


def _malformed(malformed: Malformed) -> Refused:
    found = f"{malformed.message}: expected {malformed.expected}, found {malformed.found}"
    return invalid(Check.FORM, found)


def _no_key(rule: TrustRule) -> str:
    if not rule.keys:
        return "a key's signature, and no key is trusted"
    return "by none of the trusted keys" if len(rule.keys) > 1 else f"not by {rule.keys[0].name}"


def _repository_in(reference: str) -> str:
    """A reference's repository: tag and digest are left off."""
    bare = reference.partition("@")[0]
    host, slash, path = bare.rpartition("/")
    return _canonical(f"{host}{slash}{path.partition(':')[0]}")


def _canonical(repository: str) -> str:
    """Docker Hub has more than one name."""
    host, slash, path = repository.partition("/")
    if slash and host in ("index.docker.io", "registry-1.docker.io"):
        host = "docker.io"
    if host == "docker.io" and "/" not in path:
        path = f"library/{path}"
    return f"{host}{slash}{path}"
