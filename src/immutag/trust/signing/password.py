"""The password of a private key: from the environment, or from the person at the terminal."""

import os
import sys

from immutag.core.errors import ConfigInvalid

VARIABLE = "COSIGN_PASSWORD"


def ask_password() -> bytes:
    """cosign's variable if it is set, also to nothing; else asked for on the terminal, without an echo.
    Raises ConfigInvalid where nobody can be asked."""
    found = os.environ.get(VARIABLE)
    if found is not None:
        return os.fsencode(found)
    if not sys.stdin.isatty():
        raise _needed("neither")
    from getpass import getpass

    try:
        return os.fsencode(getpass("Password of the private key: "))
    except EOFError:  # Ctrl-D
        raise _needed("a terminal that was closed without one") from None


def _needed(found: str) -> ConfigInvalid:
    return ConfigInvalid(
        "the private key needs a password",
        expected=f"{VARIABLE} in the environment, or a terminal to ask at",
        found=found,
        remedy=f"set {VARIABLE}, empty if the key has none",
    )
