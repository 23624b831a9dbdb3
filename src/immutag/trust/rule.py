"""The trust rule: whose signatures count, as the configuration says it (DR-018)."""

from collections.abc import Sequence
from pathlib import Path

from immutag.core.frozen import frozen
from immutag.core.trust import IdentityRule
from immutag.trust.public_key import PublicKey, load_public_key


@frozen()
class TrustRule:
    """Keys and identities, any of which will do. An empty rule trusts nobody, so it verifies nothing.

    `transparency_log`: a key's signature counts only with proof that a log holds it. `trusted_root` says
    which Sigstore vouches for identities and logs; None is the public one.
    """

    keys: tuple[PublicKey, ...] = ()
    identities: tuple[IdentityRule, ...] = ()
    transparency_log: bool = False
    trusted_root: Path | None = None

    @property
    def needs_root(self) -> bool:
        """Whether there is anything that only a root of trust can answer."""
        return bool(self.identities) or (self.transparency_log and bool(self.keys))


def rule_of(
    *,
    public_keys: Sequence[Path] = (),
    identities: Sequence[IdentityRule] = (),
    transparency_log: bool = False,
    trusted_root: Path | None = None,
) -> TrustRule:
    """The rule with these files' keys. Raises ConfigInvalid for a key that cannot be used."""
    keys = dict.fromkeys(load_public_key(path) for path in public_keys)
    return TrustRule(tuple(keys), tuple(identities), transparency_log, trusted_root)
