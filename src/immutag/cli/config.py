"""`immutag config show`: the configuration as it holds here, and where each value comes from."""

import argparse
import os
from pathlib import Path

from immutag.cli import DONE
from immutag.cli.output import clean, show, write_json
from immutag.cli.parser import nested, nested_command
from immutag.cli.session import coloured, directory
from immutag.cli.table import table
from immutag.settings import Settings, load


def arguments(parser: argparse.ArgumentParser) -> None:
    command = nested_command(nested(parser, "action"), "show", "every key with its value")
    command.add_argument(
        "--origin", action="store_true", help="also the file, variable or default it comes from"
    )


def run(options: argparse.Namespace) -> int:
    settings = load(directory(options), Path(options.config) if options.config else None, os.environ)
    document: dict[str, object] = {
        origin.key: {"value": origin.value, "origin": origin.source} if options.origin else origin.value
        for origin in settings.origins
    }
    show(options, document, lambda: _text(options, settings))
    return DONE


def _text(options: argparse.Namespace, settings: Settings) -> str:
    if options.origin:
        rows = [(each.key, _value(each.value), each.source) for each in settings.origins]
        return table(("key", "value", "origin"), rows, coloured=coloured(options))
    return "\n".join(clean(f"{each.key} = {_value(each.value)}") for each in settings.origins)


def _value(value: object) -> str:
    return "-" if value is None else write_json(value)
