"""`immutag verify`: who vouches for an image. Unverified is a finding with an exit status of its own."""

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from immutag.cli import DONE, UNVERIFIED
from immutag.cli.cards import failure_card
from immutag.cli.output import clean, show
from immutag.cli.session import coloured, open_project
from immutag.cli.table import Styled, age, card
from immutag.cli.texts import document, error_status, read_texts, texts_argument

_PASSED = "accepted"


def arguments(parser: argparse.ArgumentParser) -> None:
    texts_argument(parser, "SHA|REF", "full or short SHAs, production~1, or repository@digest")
    parser.add_argument(
        "--explain",
        action="store_true",
        help="what each place answered, which check refused what, and the equal cosign and gh commands",
    )


def run(options: argparse.Namespace) -> int:
    texts = read_texts(options)
    with open_project(options) as project:
        found = project.verify(texts, explain=options.explain)
    show(
        options,
        document(options, found),
        lambda: "\n\n".join(_text(each, options, coloured=coloured(options)) for each in found),
    )
    return exit_status(found)


def exit_status(found: Sequence[Mapping[str, Any]]) -> int:
    """What could not be determined weighs more than what is unverified: it may be either."""
    failed = error_status(found)
    if failed is not None:
        return failed
    return DONE if found and all(each["signature_status"] == "verified" for each in found) else UNVERIFIED


def _text(each: Mapping[str, Any], options: argparse.Namespace, *, coloured: bool) -> str:
    if "error" in each:
        return failure_card("image", each["image"], each["error"], coloured=coloured)
    status = str(each["signature_status"])
    fields: dict[str, object] = {
        "image": each["image"],
        "signature": Styled.of(status, "good" if status == "verified" else "warn"),
        "reason": each["signature_reason"],
        "signer": each["signer"],
    }
    if not options.explain:
        return card(fields, coloured=coloured)
    fields |= {f"  {place['place']}": place["answer"] for place in each["places"]}
    root = each["explained"]["trusted_root"]
    if root:
        fields["root of trust"] = f"{root['origin']}, {age(root['age_seconds'])} old"
    return "\n".join([card(fields, coloured=coloured), *_candidates(each), *_commands(each)])


def _candidates(each: Mapping[str, Any]) -> list[str]:
    """Each with the first check that refused it."""
    lines = []
    for found in each["candidates"]:
        verdict = f"refused by {found['refused_by']}" if found["refused_by"] else _PASSED
        lines.append(f"{found['kind']} {found['digest']} ({found['place']})")
        lines.append(f"  {verdict}: {found['why']}")
    return [clean(line) for line in ["", *lines]] if lines else []


def _commands(each: Mapping[str, Any]) -> list[str]:
    commands = each["explained"]["commands"]
    return [clean(line) for line in ["", "the same by other tools:", *commands]] if commands else []
