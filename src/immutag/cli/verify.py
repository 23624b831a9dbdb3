"""`immutag verify`: who vouches for an image. Unverified is a finding with an exit status of its own."""

import argparse
from collections.abc import Mapping

from immutag.cli import DONE, UNVERIFIED
from immutag.cli.output import show
from immutag.cli.session import coloured, open_project
from immutag.cli.table import Styled, card
from immutag.cli.texts import document, read_texts, texts_argument


def arguments(parser: argparse.ArgumentParser) -> None:
    texts_argument(parser, "SHA|REF", "full or short SHAs, production~1, or repository@digest")
    parser.add_argument("--explain", action="store_true", help="what each place answered")


def run(options: argparse.Namespace) -> int:
    texts = read_texts(options)
    with open_project(options) as project:
        found = project.verify(texts)
    show(
        options,
        document(options, found),
        lambda: "\n\n".join(_text(each, options, coloured=coloured(options)) for each in found),
    )
    return DONE if all(each["signature_status"] == "verified" for each in found) and found else UNVERIFIED


def _text(each: Mapping[str, object], options: argparse.Namespace, *, coloured: bool) -> str:
    status = str(each["signature_status"])
    fields: dict[str, object] = {
        "image": each["image"],
        "signature": Styled.of(status, "good" if status == "verified" else "warn"),
        "reason": each["signature_reason"],
        "signer": each["signer"],
    }
    places = each["places"]
    if options.explain and isinstance(places, list):
        for place in places:
            fields[f"  {place['place']}"] = place["answer"]
    return card(fields, coloured=coloured)
