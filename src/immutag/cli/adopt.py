"""`immutag adopt`: SHA tags that other tools wrote, into the ledger, after a look at all of each."""

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from immutag.cli import DONE
from immutag.cli.cards import failure_card, release_card
from immutag.cli.output import show
from immutag.cli.session import coloured, open_project
from immutag.cli.texts import error_status, read_texts
from immutag.core.errors import MissingSha
from immutag.core.values import GitSha


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("texts", nargs="*", metavar="SHA", help="full SHAs; - reads them from standard input")
    parser.add_argument(
        "--all", action="store_true",
        help="every SHA tag of both repositories that is a commit here and that the ledger does not know",
    )  # fmt: skip


def run(options: argparse.Namespace) -> int:
    shas = [GitSha.to_run(text) for text in read_texts(options)]
    if bool(shas) == options.all:
        raise MissingSha(
            "nothing says what to adopt",
            expected="full SHAs, or --all and none",
            found="both" if shas else "neither",
            remedy="immutag adopt --all",
        )
    with open_project(options) as project:
        found: Sequence[Mapping[str, Any]] = project.adopt(shas) if shas else project.adopt_all()
    show(
        options,
        found,
        lambda: (
            "\n\n".join(_text(each, coloured=coloured(options)) for each in found)
            or "the ledger knows every SHA tag that is a commit here"
        ),
    )
    return error_status(found) or DONE


def _text(each: Mapping[str, Any], *, coloured: bool) -> str:
    if "error" in each:
        return failure_card("not adopted", each["image_sha"], each["error"], coloured=coloured)
    return release_card(each, did="adopted", coloured=coloured)
