"""`immutag status`: what runs in each environment, as the ledger and the platforms say."""

import argparse
from collections.abc import Mapping, Sequence

from immutag.cli import DONE
from immutag.cli.cards import outcome
from immutag.cli.output import show
from immutag.cli.session import coloured, open_project
from immutag.cli.table import Styled, table
from immutag.core.values import EnvironmentName

_HEADERS = ("environment", "sha", "outcome", "since", "observed", "signature", "automatic")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("environments", nargs="*", metavar="ENV", help="only these (default: all)")


def run(options: argparse.Namespace) -> int:
    with open_project(options) as project:
        found = project.status([EnvironmentName(name) for name in options.environments])
    show(options, found, lambda: _text(found, coloured=coloured(options)))
    return DONE


def _text(found: Sequence[Mapping[str, object]], *, coloured: bool) -> str:
    if not found:
        return "there is no environment in the configuration"
    return table(_HEADERS, [_row(each) for each in found], coloured=coloured)


def _row(each: Mapping[str, object]) -> tuple[object, ...]:
    return (
        Styled.of(str(each["environment"]), "strong"),
        each["image_sha"],
        Styled.of("interrupted", "warn") if each["interrupted"] else outcome(each["outcome"]),
        each["since"],
        _short(each["observed"]),
        each["signature_status"],
        Styled.of("held", "warn") if each["held"] else "allowed",
    )


def _short(digest: object) -> str | None:
    """As much of a digest as a person compares; `--json` has all of it."""
    return None if digest is None else str(digest)[: len("sha256:") + 12]
