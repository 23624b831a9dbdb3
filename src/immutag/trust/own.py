"""Whether a bundle is a signer's own: what a run must know before it signs a second time (DR-018)."""

from pathlib import Path

from immutag.trust import Signer
from immutag.trust.bundle import Bundle, KeyHint, parse_bundle
from immutag.trust.checks import check_key
from immutag.trust.dsse import Envelope
from immutag.trust.judgement import Refused
from immutag.trust.key_signer import KeySigner
from immutag.trust.malformed import Malformed
from immutag.trust.rule import TrustRule


def is_by(signer: Signer, content: bytes, *, trusted_root: Path | None) -> bool:
    """Whether its signature holds, and is this signer's. Raises SoftVerifyToolError for a root of trust that
    cannot be used."""
    try:
        bundle = parse_bundle(content)
        if isinstance(signer, KeySigner):
            return _is_by_key(signer, bundle)
    except (Malformed, Refused):
        return False
    return False


def _is_by_key(signer: KeySigner, bundle: Bundle) -> bool:
    if not isinstance(bundle.content, Envelope) or not isinstance(bundle.material, KeyHint):
        return False
    return check_key(bundle.material, bundle.content, TrustRule((signer.public,))) == signer.public
