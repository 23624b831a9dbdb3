"""How a failure is told: words on standard error, and with `--json` one document on standard output."""

from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise
from typing import NamedTuple

from immutag.cli.output import clean, write_error, write_json, write_result


class Failure(NamedTuple):
    """The `error` object of the contracts."""

    code: str
    message: str
    expected: str = ""
    found: str = ""
    next: str = ""


def tell(arguments: Sequence[str], failure: Failure) -> None:
    """Options may not have been understood, so those that decide the form are looked for by name."""
    document = {"error": failure._asdict()}
    if wants_json_log(arguments):
        write_error(write_json(document))
    else:
        write_error(_words(failure))
    if "--json" in arguments:
        with suppress(OSError):  # the exit status says more than that nobody can read why
            write_result(write_json(document))


def wants_json_log(arguments: Sequence[str]) -> bool:
    """Whether `--log-format json` is among the arguments, in either spelling."""
    separate = any(pair == ("--log-format", "json") for pair in pairwise(arguments))
    return separate or "--log-format=json" in arguments


def _words(failure: Failure) -> str:
    lines = [f"immutag: {failure.code}: {clean(failure.message)}"]
    for label, text in (("expected", failure.expected), ("found", failure.found), ("next", failure.next)):
        if text:
            lines.append(f"  {label:<10}" + clean(text).replace("\n", "\n" + " " * 12))
    return "\n".join(lines)
