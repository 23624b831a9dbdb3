"""`immutag sign`: sign releases that exist, each once."""

import argparse

from immutag.cli import DONE
from immutag.cli.cards import release_card
from immutag.cli.output import show
from immutag.cli.session import coloured, open_project
from immutag.cli.texts import document, read_texts
from immutag.core.values import GitSha


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("texts", nargs="+", metavar="SHA", help="full SHAs; - reads them from standard input")


def run(options: argparse.Namespace) -> int:
    shas = [GitSha.to_run(text) for text in read_texts(options)]
    with open_project(options) as project:
        records = project.sign(shas)
    show(
        options,
        document(options, records),
        lambda: "\n\n".join(release_card(each, did="signed", coloured=coloured(options)) for each in records),
    )
    return DONE
