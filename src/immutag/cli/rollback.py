"""`immutag rollback`: to a release that exists. Without a SHA it lists the candidates and changes nothing."""

import argparse
import os
from typing import TYPE_CHECKING

from immutag.cli import DONE
from immutag.cli.candidates import candidates_text
from immutag.cli.cards import plan_card, rollback_card
from immutag.cli.output import show
from immutag.cli.parser import environment_option
from immutag.cli.session import coloured, logged, open_project
from immutag.cli.sha import VARIABLE, from_either, sha_option
from immutag.cli.unverified import unverified_is_allowed, unverified_option
from immutag.core.values import EnvironmentName

if TYPE_CHECKING:
    from immutag.project import Project


def arguments(parser: argparse.ArgumentParser) -> None:
    sha_option(
        parser, f"the release to go back to, a full SHA (environment: {VARIABLE}); none: list candidates"
    )
    environment_option(parser)
    parser.add_argument("--reason", metavar="TEXT", help="why; it is kept in the ledger")
    parser.add_argument(
        "--acknowledge-irreversible", action="store_true",
        help="go back over changes that the team calls irreversible",
    )  # fmt: skip
    unverified_option(parser)
    parser.add_argument("--dry-run", action="store_true", help="print what would happen, and change nothing")


def run(options: argparse.Namespace) -> int:
    sha, environment = from_either(options, os.environ), EnvironmentName(options.environment)
    acknowledged, allowed = options.acknowledge_irreversible, unverified_is_allowed(options)
    with open_project(options) as project:
        if sha is None:
            return _list(options, project, environment)
        if options.dry_run:
            plan = project.plan_rollback(sha, environment, acknowledged, options.reason, allowed)
            show(options, plan, lambda: plan_card(plan, coloured=coloured(options)))
            return DONE
        with logged(options, project):
            record = project.rollback(sha, environment, options.reason, acknowledged, allowed)
    show(options, record, lambda: rollback_card(record, coloured=coloured(options)))
    return DONE


def _list(options: argparse.Namespace, project: "Project", environment: EnvironmentName) -> int:
    found = project.candidates(environment)
    show(
        options,
        {"environment": str(environment), "candidates": found},
        lambda: candidates_text(environment, found, coloured=coloured(options)),
    )
    return DONE
