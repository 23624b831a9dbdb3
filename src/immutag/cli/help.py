"""`immutag help`: a command, or a topic. Works without a configuration."""

import argparse

from immutag.cli import DEFECT, DONE, INTERRUPTED, UNVERIFIED, USAGE
from immutag.cli.commands import COMMANDS
from immutag.cli.output import show
from immutag.core.errors import KINDS

_NOTE = "cosign's own exit statuses 10 to 13 mean other things than these."


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("topic", nargs="?", choices=("exit-codes", *COMMANDS), metavar="COMMAND|exit-codes")


def run(options: argparse.Namespace) -> int:
    if options.topic == "exit-codes":
        show(options, [{"status": s, "code": c, "meaning": m} for s, c, m in exit_codes()], _exit_codes_text)
    else:
        text = _help_of(options.topic)
        show(options, {"help": text}, lambda: text)
    return DONE


def exit_codes() -> list[tuple[int, str, str]]:
    """Every exit status, its code, and what it means."""
    return [
        (DONE, "", "done, or already so"),
        (DEFECT, "DEFECT", "a defect of immutag: please report it"),
        (USAGE, "USAGE", "the command line is wrong"),
        *((kind.exit_status, kind.code, kind.meaning) for kind in KINDS),
        (UNVERIFIED, "", "verify found an image unverified"),
        (INTERRUPTED, "INTERRUPTED", "interrupted (Ctrl-C); run it again and it completes"),
        (129, "TERMINATED", "the terminal went away (SIGHUP)"),
        (143, "TERMINATED", "terminated (SIGTERM); run it again and it completes"),
    ]


def _exit_codes_text() -> str:
    lines = [f"{status:>4}  {code:<23}{meaning}" for status, code, meaning in exit_codes()]
    return "\n".join([*lines, "", _NOTE])


def _help_of(topic: str | None) -> str:
    from immutag.cli.parser import grammar

    parser = grammar([topic] if topic else [])
    if topic is None:
        return parser.format_help().rstrip()
    # argparse has no public way from a parser to those of its commands
    actions = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    command: argparse.ArgumentParser = actions[0].choices[topic]
    return command.format_help().rstrip()
