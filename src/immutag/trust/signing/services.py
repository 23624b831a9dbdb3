"""Which Sigstore signs and logs: its addresses and root of trust, in files or the public ones (DR-018)."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from immutag.core.errors import ConfigInvalid
from immutag.core.frozen import frozen
from immutag.core.values import shown
from immutag.trust.asked import asked

if TYPE_CHECKING:
    from sigstore.models import SigningConfig, TrustedRoot

T = TypeVar("T")


@frozen()
class Services:
    """Which Sigstore: its addresses and its root of trust. None: the public one's, fetched and kept (TUF)."""

    signing_config: Path | None = None
    trusted_root: Path | None = None

    def __post_init__(self) -> None:
        if self.signing_config and not self.trusted_root:
            raise ConfigInvalid(
                "a Sigstore of one's own without its root of trust",
                expected="trusted_root beside signing_config in [trust]",
                found=f"signing_config = {shown(str(self.signing_config))} alone",
                remedy="set trusted_root to the file that its operator publishes",
            )

    def read(self, timeout_s: float) -> "tuple[SigningConfig, TrustedRoot]":
        """Both. Raises ConfigInvalid for a file that cannot be used, SoftVerifyToolError where the public
        ones are not had within the time."""
        from sigstore.models import ClientTrustConfig, SigningConfig, TrustedRoot

        own_root = _read(TrustedRoot.from_file, self.trusted_root) if self.trusted_root else None
        if own_root and self.signing_config:
            return _read(SigningConfig.from_file, self.signing_config), own_root
        public = asked("give its addresses and its root of trust", ClientTrustConfig.production, timeout_s)
        return public.signing_config, own_root or public.trusted_root


def _read(reader: Callable[[str], T], path: Path) -> T:
    from sigstore.errors import Error

    try:
        return reader(str(path))
    except (OSError, ValueError, Error) as error:
        raise ConfigInvalid(
            "a file of Sigstore's cannot be used",
            expected="signing_config and trusted_root as Sigstore's own tools write them",
            found=shown(f"{path}: {error}"),
            remedy="correct [trust] in immutag.toml",
        ) from error
