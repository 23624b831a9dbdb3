"""Whether a bundle is a signer's own: what a run must know before it signs a second time (DR-018)."""

from collections.abc import Callable

from immutag.core.trust import IdentityRule, Pattern
from immutag.trust import Signer
from immutag.trust.checks import Authority, check_key
from immutag.trust.formats.bundle import Bundle, CertificateChain, KeyHint, parse_bundle
from immutag.trust.formats.dsse import Envelope
from immutag.trust.formats.malformed import Malformed
from immutag.trust.judgement import Refused
from immutag.trust.rule import TrustRule
from immutag.trust.signing.key_signer import KeySigner


def is_by(signer: Signer, content: bytes, *, authority: Callable[[], Authority]) -> bool:
    """Whether its signature holds, and is this signer's. Raises SoftVerifyToolError for a root of trust that
    cannot be used; a key needs none."""
    try:
        bundle = parse_bundle(content)
        if isinstance(signer, KeySigner):
            return _is_by_key(signer, bundle)
        return _is_by_identity(signer, bundle, authority)
    except (Malformed, Refused):
        return False


def _is_by_key(signer: KeySigner, bundle: Bundle) -> bool:
    if not isinstance(bundle.content, Envelope) or not isinstance(bundle.material, KeyHint):
        return False
    return check_key(bundle.material, bundle.content, TrustRule((signer.public,))) == signer.public


def _is_by_identity(signer: Signer, bundle: Bundle, authority: Callable[[], Authority]) -> bool:
    from immutag.trust.signing.keyless import KeylessSigner

    chain, envelope = bundle.material, bundle.content
    if not isinstance(signer, KeylessSigner):
        return False
    if not isinstance(chain, CertificateChain) or not isinstance(envelope, Envelope):
        return False
    own = IdentityRule(Pattern(signer.identity.issuer), Pattern(signer.identity.subject))
    return authority().check_bundle(bundle, chain, envelope, (own,)) == signer.name
