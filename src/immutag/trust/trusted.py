"""Whom of those that we trust an attestation is by. Unlike a signature, it need not vouch for anything.

Every check of signatures holds (trust/checks.py), but the one that asks for a statement that vouches.
"""

from immutag.core.statement import PAYLOAD_TYPE
from immutag.trust.attached import Attached, Kind
from immutag.trust.checks import Case, attested_by, check_content, check_key, check_subject, judge
from immutag.trust.formats.bundle import KeyHint
from immutag.trust.formats.dsse import parse_envelope
from immutag.trust.formats.in_toto import parse_statement
from immutag.trust.formats.malformed import Malformed
from immutag.trust.judgement import Refused


def trusted_signer(attached: Attached, case: Case) -> str | None:
    """Its signer, if it passes; None for what is not signed, by nobody we trust, or of a form that is not
    verified here. Raises SoftVerifyToolError for a root of trust that cannot be used."""
    try:
        content = check_content(attached)
        match attached.kind:
            case Kind.BUNDLE:
                return attested_by(content, case)[0]
            case Kind.LEGACY:
                return judge(attached, case).signer
            case Kind.ENVELOPE:
                return _by_key(content, case)
            case _:
                return None
    except (Refused, Malformed):
        return None


def _by_key(content: bytes, case: Case) -> str | None:
    """cosign's `.att`: an envelope that names nobody. A log's proof is not read there, nor a certificate."""
    envelope = parse_envelope(content)
    if case.rule.transparency_log or envelope.payload_type != PAYLOAD_TYPE:
        return None
    key = check_key(KeyHint(""), envelope, case.rule)
    check_subject(parse_statement(envelope.payload), case.subject)
    return key.name
