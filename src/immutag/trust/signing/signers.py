"""The signer that a configuration names: a key file, a program, or the CI's own identity."""

from collections.abc import Sequence
from pathlib import Path

from immutag.trust import Signer
from immutag.trust.signing.key_signer import KeySigner


def signer(
    *,
    key: Path | None,
    program: Sequence[str],
    program_key: Path | None,
    signing_config: Path | None,
    trusted_root: Path | None,
) -> Signer:
    """The one that is named; with neither key nor program, Sigstore's. Raises ConfigInvalid,
    SoftVerifyToolError."""
    if key:
        from immutag.trust.signing.password import ask_password
        from immutag.trust.signing.private_key import load_private_key

        return KeySigner(load_private_key(key, password=ask_password))
    if program and program_key:
        from immutag.trust.public_key import load_public_key
        from immutag.trust.signing.command_key import CommandKey

        return KeySigner(CommandKey(program, load_public_key(program_key)))
    from immutag.trust.signing.keyless import KeylessSigner
    from immutag.trust.signing.services import Services

    return KeylessSigner(Services(signing_config, trusted_root))
