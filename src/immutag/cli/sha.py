"""What selects a release to run: one full SHA, from one place (DR-001)."""

import argparse
from collections.abc import Mapping

from immutag.cli.parser import Once
from immutag.core.errors import MissingSha
from immutag.core.values import TO_FULL_SHA, GitSha, shown

VARIABLE = "IMAGE_SHA"


def sha_option(parser: argparse.ArgumentParser, help: str) -> None:
    """`--sha SHA`, once."""
    parser.add_argument("--sha", action=Once, metavar="SHA", help=help)


def required(options: argparse.Namespace) -> GitSha:
    """The SHA of `--sha`. Raises MissingSha, or PolicyViolation for a short or floating tag."""
    if options.sha is None:
        raise MissingSha(
            "no SHA is given",
            expected="--sha with a full commit SHA",
            found="nothing",
            remedy=TO_FULL_SHA,
        )
    return GitSha.to_run(options.sha)


def from_either(options: argparse.Namespace, environ: Mapping[str, str]) -> GitSha | None:
    """The SHA of `--sha` or IMAGE_SHA; None if neither is there. Two that differ are refused."""
    if (text := environ.get(VARIABLE)) is None:
        return None if options.sha is None else required(options)
    named = GitSha.to_run(text)
    if options.sha is not None and required(options) != named:
        raise MissingSha(
            "two SHAs are given",
            expected=f"--sha or {VARIABLE}, or the same in both",
            found=f"--sha {shown(options.sha)} and {VARIABLE} {named}",
            remedy=f"unset {VARIABLE}",
        )
    return named
