"""`immutag hold`: automatic deployments stay away from an environment until a person lifts it."""

import argparse

from immutag.cli import DONE
from immutag.cli.output import show
from immutag.cli.parser import environment_option, nested, nested_command
from immutag.cli.session import open_project
from immutag.core.values import EnvironmentName


def arguments(parser: argparse.ArgumentParser) -> None:
    actions = nested(parser, "action")
    for name, summary in (
        ("set", "keep automatic deployments away"),
        ("lift", "let automatic deployments come back"),
    ):
        command = nested_command(actions, name, summary)
        environment_option(command)
        command.add_argument(
            "--reason", required=True, type=_said, metavar="TEXT", help="why; it is kept in the ledger"
        )


def run(options: argparse.Namespace) -> int:
    environment, held = EnvironmentName(options.environment), options.action == "set"
    with open_project(options) as project:
        (project.hold if held else project.lift)(environment, options.reason)
    show(
        options,
        {"environment": str(environment), "held": held, "reason": options.reason},
        lambda: f"{environment} is held" if held else f"{environment} is not held any more",
    )
    return DONE


def _said(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("it says nothing")
    return text
