"""Whose bare signature over known content a bundle holds, with its proof in the log (DR-017, DR-018)."""

import hashlib
from collections.abc import Callable

from immutag.trust.checks import (
    Authority,
    check_identities,
    check_message_form,
    check_message_key,
)
from immutag.trust.formats.bundle import CertificateChain, Message, MessageSignature
from immutag.trust.formats.log_entry import Signed
from immutag.trust.judgement import Check, invalid
from immutag.trust.rule import TrustRule

_HASHES = {
    "SHA2_256": "sha256",
    "SHA2_384": "sha384",
    "SHA2_512": "sha512",
    "SHA3_256": "sha3_256",
    "SHA3_384": "sha3_384",
}


def signer_of_content(
    content: bytes, signed: bytes, *, rule: TrustRule, authority: Callable[[], Authority]
) -> str:
    """Who of those that the rule trusts signed these bytes, by the bundle `content`. A log must hold it,
    whatever the rule asks for: for that the bundle was made.

    Raises Refused, SoftVerifyToolError for a root of trust that cannot be used.
    """
    bundle, signature = check_message_form(content)
    check_digest(signature, signed)
    message = Message(signature.signature, signed)
    if isinstance(bundle.material, CertificateChain):
        check_identities(rule)
        return authority().check_message(bundle, bundle.material, message, rule.identities)
    key = check_message_key(bundle.material, message, rule)
    authority().check_bundle_log(bundle, Signed(signed, signed, signature.signature, key.der))
    return key.name


def check_digest(signature: MessageSignature, signed: bytes) -> None:
    """2: the content is what the bundle says that it is over."""
    if not is_over(signature, signed):
        raise invalid(Check.FORM, "it is over other content")


def is_over(signature: MessageSignature, content: bytes) -> bool:
    """Whether the bundle says that it is over this content. Nothing is verified."""
    return hashlib.new(_HASHES[signature.algorithm], content).digest() == signature.digest
