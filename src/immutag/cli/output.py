"""Standard output is the result, standard error everything else; a reader that went away is no error."""

import argparse
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TextIO


def show(options: argparse.Namespace, document: object, text: Callable[[], str]) -> None:
    """The result of a command: a JSON document with `--json`, words otherwise."""
    write_result(write_json(document) if options.json else text())


def write_json(document: object) -> str:
    """One line, in ASCII: whatever the terminal's encoding, a program can read it."""
    import json

    return json.dumps(document)


def write_result(text: str) -> bool:
    """To standard output, now: a full disk must be seen while the exit status can still say so.

    Whether there is still somebody who reads.
    """
    return _write(sys.stdout, text)


def reader_leaves(within_s: float) -> bool:
    """Whether whoever reads standard output goes away in this time; otherwise it is waited for."""
    import select
    import time

    if sys.stdout is None:
        time.sleep(within_s)
        return False
    output = select.poll()
    output.register(sys.stdout.fileno(), 0)  # errors only
    return bool(output.poll(within_s * 1000))


def write_error(text: str) -> None:
    """To standard error. That a log cannot be written stops nothing, least of all a rollback."""
    with suppress(OSError):
        _write(sys.stderr, text)


def _write(stream: TextIO | None, text: str) -> bool:
    if stream is None:  # closed by whoever started us
        return True
    try:
        stream.write(_encodable(stream, text) + "\n" if text else "")
        stream.flush()
    except OSError as error:
        # The interpreter flushes once more at exit, and would replace our exit status by its own.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        if not isinstance(error, BrokenPipeError):
            raise
        return False
    return True


def _encodable(stream: TextIO, text: str) -> str:
    encoding = stream.encoding or "ascii"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def clean(text: str) -> str:
    """Text of several lines for a terminal, without escapes or other controls."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else " " if c == "\t" else "�" for c in text)


def colours(options: argparse.Namespace, stream: TextIO | None) -> bool:
    """Whether to colour what goes to this stream: a terminal only, and nobody said no."""
    refused = options.no_color or os.environ.get("NO_COLOR") or os.environ.get("CI")
    return stream is not None and not refused and os.environ.get("TERM") != "dumb" and stream.isatty()
