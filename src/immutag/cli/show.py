"""`immutag show`: everything known about releases: by SHA, short SHA, or `production~1`."""

import argparse
from collections.abc import Mapping
from typing import Any

from immutag.cli import DONE
from immutag.cli.cards import failure_card
from immutag.cli.output import show
from immutag.cli.session import coloured, open_project
from immutag.cli.table import card
from immutag.cli.texts import document, error_status, read_texts, texts_argument


def arguments(parser: argparse.ArgumentParser) -> None:
    texts_argument(parser, "SHA", "full or short SHAs, or production~1 (the one before what runs)")


def run(options: argparse.Namespace) -> int:
    texts = read_texts(options)
    with open_project(options) as project:
        found = project.show(texts)
    show(
        options,
        document(options, found),
        lambda: "\n\n".join(_text(each, coloured=coloured(options)) for each in found),
    )
    return error_status(found) or DONE


def _text(each: Mapping[str, Any], *, coloured: bool) -> str:
    if "error" in each:
        return failure_card("image", each["image"], each["error"], coloured=coloured)
    return card(_fields(each), coloured=coloured)


def _fields(release: Mapping[str, object]) -> Mapping[str, object]:
    return {name.replace("_", " "): _plain(value) for name, value in release.items()}


def _plain(value: object) -> object:
    if isinstance(value, list):
        return ", ".join(str(_plain(each)) for each in value)
    if isinstance(value, dict):
        return " ".join(f"{name}={_plain(each)}" for name, each in value.items() if each is not None)
    return value
