"""The things that reading commands are asked about: several at once, or `-` for standard input."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from immutag.cli import UsageError
from immutag.core.errors import STATUSES


def texts_argument(parser: argparse.ArgumentParser, metavar: str, kinds: str) -> None:
    """One or more texts; `-` reads them from standard input."""
    parser.add_argument(
        "texts", nargs="+", metavar=metavar, help=f"{kinds}; - reads them from standard input"
    )


def read_texts(options: argparse.Namespace) -> list[str]:
    """The texts in their order, standard input's words in the place of `-`. Raises UsageError if that leaves
    nothing: a list that came out empty is a mistake of whoever made it."""
    found: list[str] = []
    for text in options.texts:
        found += _standard_input() if text == "-" else [text]
    if options.texts and not found:
        command = f"immutag {options.command}"
        raise UsageError("standard input names nothing", usage=f"{command} -", command=command)
    return found


def _standard_input() -> list[str]:
    return sys.stdin.read().split() if sys.stdin else []  # closed by whoever started us


def document(options: argparse.Namespace, results: Sequence[object]) -> object:
    """One object for one text on the command line, a list otherwise."""
    return results[0] if len(options.texts) == 1 and options.texts != ["-"] else list(results)


def error_status(found: Sequence[Mapping[str, Any]]) -> int | None:
    """The exit status of the errors among several answers, None if there is none. What could not be
    determined weighs most: it may be anything."""
    codes = {each["error"]["code"] for each in found if "error" in each}
    if not codes:
        return None
    return STATUSES["SOFT_VERIFY_TOOL_ERROR" if "SOFT_VERIFY_TOOL_ERROR" in codes else min(codes)]
