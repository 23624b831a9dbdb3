"""The command line's grammar. Only the commands that are named in the arguments get their options."""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType
from typing import Any, NoReturn

from immutag._version import __version__
from immutag.cli import DONE, UsageError
from immutag.cli.commands import COMMANDS
from immutag.cli.output import show, write_result

_DESCRIPTION = "One identity for a container image, from commit to running container."
_EPILOG = "exit statuses: immutag help exit-codes · one command: immutag COMMAND --help"

# argparse looks on the disk for a translation of each of its words: 75 times a start, a tenth of its time.
# Not `str`: what is not said is `None`, and has to stay so.
vars(argparse)["_"] = lambda text: text

_MAY_BE_EMPTY = ("sha", "reason")
"""Options that are told with a status of their own, or that need not be said at all. Every other one would
be taken for one that was not given: `ledger verify --against "$SAVED"` would compare with nothing."""


class Formatter(argparse.HelpFormatter):
    """argparse's own, but the width is found without importing shutil and its compressors, and no name or
    option is broken at its hyphens: it has to be typed as it stands."""

    def __init__(self, prog: str, **options: Any) -> None:
        super().__init__(prog, **{**options, "width": _width(), "max_help_position": 30})

    def _split_lines(self, text: str, width: int) -> list[str]:
        import textwrap

        return textwrap.wrap(" ".join(text.split()), width, break_on_hyphens=False)


class Parser(argparse.ArgumentParser):
    """A parser whose mistakes are exceptions, and which takes no abbreviations."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"formatter_class": Formatter, "allow_abbrev": False, **options})

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """What a command does not know is its own mistake, told with its own options."""
        options, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return options, unknown

    def error(self, message: str) -> NoReturn:
        usage = " ".join(self.format_usage().removeprefix("usage:").split())
        raise UsageError(message, usage=usage, command=self.prog)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is None or value in action.choices:
            return
        import difflib

        known = [str(choice) for choice in action.choices]
        near = difflib.get_close_matches(str(value), known, n=1, cutoff=0.0)
        raise argparse.ArgumentError(action, f"no {value!r}; the nearest is {near[0] if near else 'nothing'}")

    def _get_value(self, action: argparse.Action, text: str) -> Any:
        if action.option_strings and action.dest not in _MAY_BE_EMPTY and not text.strip():
            raise argparse.ArgumentError(action, "is empty: a variable that was not set?")
        return super()._get_value(action, text)

    def _print_message(self, message: str, file: Any = None) -> None:
        del file  # help is a result: standard output, where a reader may have gone away
        write_result(message.rstrip("\n"))


class Once(argparse.Action):
    """An option that may be given once: two values are a contradiction, and nothing is picked silently."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option: Any = None
    ) -> None:
        if getattr(namespace, self.dest, None) is not None:
            parser.error(f"{option} is given twice")
        setattr(namespace, self.dest, values)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The options of the one command that is named. Raises UsageError; ends after `--help`."""
    parser = grammar(arguments)
    options = parser.parse_args(arguments)
    if options.command is None and not options.version:
        parser.error("which command?")
    return options


def run(options: argparse.Namespace) -> int:
    """Run the command that was parsed, and give its exit status."""
    if options.version:
        show(options, {"version": __version__}, lambda: f"immutag {__version__}")
        return DONE
    status = module(options.command).run(options)
    assert isinstance(status, int)  # noqa: S101 - a command that gives no status is a defect
    return status


def grammar(named: Sequence[str] | None = None) -> Parser:
    """The whole grammar, or, for speed, with the options of the named commands only."""
    parser = Parser(prog="immutag", description=_DESCRIPTION, epilog=_EPILOG)
    parser.add_argument("--version", action="store_true", help="print the version")
    _global_options(parser, top=True)
    commands = parser.add_subparsers(
        title="commands", dest="command", metavar="COMMAND", prog="immutag", parser_class=Parser
    )
    for name, (_, summary) in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
        if named is None or name in named:
            module(name).arguments(command)
            _global_options(command, top=False)
    return parser


def module(name: str) -> ModuleType:
    """The module of a command."""
    return import_module(f"immutag.cli.{COMMANDS[name][0]}")


def nested(parser: argparse.ArgumentParser, dest: str) -> Any:
    """Commands within a command; they take the global options too."""
    return parser.add_subparsers(dest=dest, metavar=dest.upper(), required=True, prog=parser.prog)


def nested_command(actions: Any, name: str, summary: str) -> argparse.ArgumentParser:
    """One command within a command."""
    command: Parser = actions.add_parser(
        name, help=summary, description=summary[0].upper() + summary[1:] + "."
    )
    _global_options(command, top=False)
    return command


def environment_option(parser: argparse.ArgumentParser) -> None:
    """`--environment NAME`, `--env` too."""
    parser.add_argument(
        "--environment", "--env", required=True, action=Once, metavar="NAME",
        help="one of [environments] in immutag.toml",
    )  # fmt: skip


def _global_options(parser: argparse.ArgumentParser, *, top: bool) -> None:
    """They may stand before the command and after it; after it, only what is given counts."""

    def unless(default: object) -> Any:
        return default if top else argparse.SUPPRESS

    group = parser.add_argument_group("global options, before the command or after it")
    group.add_argument(
        "-C", dest="directory", metavar="DIR", default=unless("."), help="start in this folder"
    )
    group.add_argument(
        "--config", metavar="FILE", default=unless(None),
        help="the configuration (environment: IMMUTAG_CONFIG; else the nearest immutag.toml upwards)",
    )  # fmt: skip
    group.add_argument(
        "--json", action="store_true", default=unless(False), help="the result as one JSON document"
    )
    group.add_argument(
        "--log-format", choices=("text", "json"), default=unless("text"), help="how standard error is written"
    )
    loudness = group.add_mutually_exclusive_group()
    loudness.add_argument(
        "-q",
        "--quiet",
        action="store_const",
        dest="loudness",
        const=-1,
        default=unless(0),
        help="no progress",
    )
    loudness.add_argument(
        "-v",
        "--verbose",
        action="store_const",
        dest="loudness",
        const=1,
        default=unless(0),
        help="all that programs print, and tracebacks",
    )
    group.add_argument(
        "--no-color",
        action="store_true",
        default=unless(False),
        help="no colours (environment: NO_COLOR, CI)",
    )


def _width() -> int:
    if (columns := os.environ.get("COLUMNS", "")).isdigit() and int(columns) > 20:
        return int(columns) - 2
    try:
        return max(40, os.get_terminal_size(sys.__stdout__.fileno()).columns - 2 if sys.__stdout__ else 98)
    except (OSError, ValueError):
        return 98
