"""One command's use of the project: opened with the global options, its log line written at the end."""

import argparse
import gc
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from immutag.cli.output import clean, colours, write_error, write_json
from immutag.cli.report import open_report
from immutag.core.errors import ConfigInvalid
from immutag.core.values import shown

if TYPE_CHECKING:
    from immutag.project import Project

_GARBAGE = 20_000  # objects more than before, until it is looked for


def directory(options: argparse.Namespace) -> Path:
    """The folder that the command starts from. Raises ConfigInvalid if it is none: from a mistyped one, the
    configuration of another service above it would be found."""
    try:
        found = os.path.realpath(options.directory, strict=True)
    except (OSError, ValueError) as error:
        raise _no_folder(options, str(error)) from None
    if not os.path.isdir(found):  # noqa: PTH112 - what realpath gives
        raise _no_folder(options, f"{found} is a file")
    return Path(options.directory)


def _no_folder(options: argparse.Namespace, found: str) -> ConfigInvalid:
    return ConfigInvalid(
        "there is no such folder to start from",
        expected=f"a folder: {shown(options.directory)}",
        found=shown(found),
        remedy="immutag -C DIR COMMAND, with a folder that is there",
    )


@contextmanager
def open_project(options: argparse.Namespace) -> Iterator["Project"]:
    """The project of this folder. Raises ConfigInvalid."""
    from immutag.project import Project

    config = Path(options.config) if options.config else None
    with (
        open_report(options) as report,
        Project.open(directory(options), config, os.environ, report) as project,
    ):
        gc.freeze()  # what is imported stays; importing the rest would have it looked through again and again
        gc.set_threshold(_GARBAGE)
        gc.enable()
        yield project


@contextmanager
def logged(options: argparse.Namespace, project: "Project") -> Iterator[None]:
    """Write the phase's record to standard error however it ends: a failure is logged as well."""
    try:
        yield
    finally:
        if project.last_record is not None:
            _log(options, project.last_record)


def coloured(options: argparse.Namespace) -> bool:
    """Whether standard output takes colours."""
    return colours(options, sys.stdout)


def _log(options: argparse.Namespace, record: Mapping[str, object]) -> None:
    if options.log_format == "json":
        write_error(write_json(record))
    elif options.loudness > 0 or (options.loudness == 0 and not colours(options, sys.stderr)):
        # on a terminal the card says the same, for people
        known = (f"{name}={_value(value)}" for name, value in record.items() if value is not None)
        write_error("· " + " ".join(known))


def _value(value: object) -> str:
    text = clean(str(value)).replace("\n", " ")
    return f'"{text}"' if " " in text else text
