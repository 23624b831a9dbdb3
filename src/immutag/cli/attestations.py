"""`immutag attestations`: what is attested of an image, by whomever, as a tree."""

import argparse
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from immutag.cli import DONE
from immutag.cli.cards import failure_card
from immutag.cli.output import show
from immutag.cli.parser import Once
from immutag.cli.session import coloured, open_project
from immutag.cli.texts import document, error_status, read_texts, texts_argument
from immutag.core.values import shown

_SOURCES = ("api", "tag", "legacy", "index", "github")


def arguments(parser: argparse.ArgumentParser) -> None:
    texts_argument(parser, "SHA|REF", "full or short SHAs, production~1, or repository@digest")
    parser.add_argument(
        "--from", dest="source", choices=_SOURCES, action=Once,
        help="only from the referrers API, the fallback tag, cosign's tags, BuildKit's index; or from GitHub",
    )  # fmt: skip


def run(options: argparse.Namespace) -> int:
    texts = read_texts(options)
    with open_project(options) as project:
        found = project.attestations(texts, options.source)
    show(options, document(options, found), lambda: _text(found, coloured=coloured(options)))
    return error_status(found) or DONE


def _text(found: Sequence[Mapping[str, Any]], *, coloured: bool) -> str:
    """Each image's tree, or why it has none."""
    return "\n".join(
        failure_card("image", each["image"], each["error"], coloured=coloured)
        if "error" in each
        else _tree(each, coloured=coloured)
        for each in found
    )


def _tree(image: Mapping[str, Any], *, coloured: bool) -> str:
    """Place, predicate type, and who signed it."""
    from rich.console import Console
    from rich.text import Text
    from rich.tree import Tree

    console = Console(no_color=not coloured, force_terminal=coloured, width=1000, highlight=False)
    with console.capture() as capture:
        tree = Tree(Text(shown(str(image["image"])), style="bold"), guide_style="dim")
        for place, group in groupby(image["attestations"], key=lambda each: each["place"]):
            branch = tree.add(Text(shown(str(place))))
            for each in group:
                leaf = branch.add(Text(shown(each["predicate_type"])))
                for label, style in _about(each):
                    leaf.add(Text(label, style=style))
        for answer in image["places"]:
            if not any(each["place"] == answer["place"] for each in image["attestations"]):
                tree.add(Text(f"{shown(answer['place'])}: {shown(answer['answer'])}", style="dim"))
        console.print(tree)
    return "\n".join(line.rstrip() for line in capture.get().splitlines())


def _about(each: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What matters of one: whom we trust first, and what is wrong with it."""
    if each["verified_by"]:
        signed = (f"verified: {shown(each['verified_by'])}", "green")
    elif each["signer"]:
        signed = (f"signed by {shown(each['signer'])}, whom nobody here trusts", "yellow")
    else:
        signed = ("not signed", "dim")
    problem = [(shown(each["problem"]), "red")] if each["problem"] else []
    return [signed, *problem, (f"{each['document']}, {each['size_bytes']} bytes", "dim")]
