"""`--allow-unverified`: break-glass where verification is mandatory, by a person, for a reason (DR-003)."""

import argparse

from immutag.cli import UsageError

_OPTION = "--allow-unverified"


def unverified_option(parser: argparse.ArgumentParser) -> None:
    """`--allow-unverified`."""
    parser.add_argument(
        _OPTION, action="store_true",
        help="run it even if verification is mandatory and it is unverified; needs --reason",
    )  # fmt: skip


def unverified_is_allowed(options: argparse.Namespace) -> bool:
    """Whether a person says so. Raises UsageError without a reason, and where no person asks."""
    if not options.allow_unverified:
        return False
    if not (options.reason or "").strip():
        raise _misused(options, f"{_OPTION} needs --reason TEXT: it is kept in the ledger")
    if getattr(options, "automatic", False):
        raise _misused(options, f"{_OPTION} is a person's word, and --automatic says that there is none")
    return True


def _misused(options: argparse.Namespace, message: str) -> UsageError:
    usage = f"immutag {options.command} --environment NAME --sha SHA {_OPTION} --reason TEXT"
    return UsageError(message, usage=usage, command=f"immutag {options.command}")
