"""`immutag deploy`: check → verify → run by digest → healthy or restored."""

import argparse

from immutag.cli import DONE
from immutag.cli.cards import deploy_card, plan_card
from immutag.cli.metadata import ensure_recorded, read_metadata
from immutag.cli.output import show
from immutag.cli.parser import environment_option
from immutag.cli.session import coloured, logged, open_project
from immutag.cli.sha import required, sha_option
from immutag.cli.unverified import unverified_is_allowed, unverified_option
from immutag.core.values import EnvironmentName


def arguments(parser: argparse.ArgumentParser) -> None:
    sha_option(parser, "the release to run, a full SHA; nothing else selects what runs")
    parser.add_argument(
        "--metadata-file", metavar="PATH",
        help="take the SHA from what `release --metadata-file` wrote; the image has to be that one",
    )  # fmt: skip
    environment_option(parser)
    parser.add_argument(
        "--automatic", action="store_true", help="no person asked for this: respect a hold (CI)"
    )
    parser.add_argument("--reason", metavar="TEXT", help="why; it is kept in the ledger")
    unverified_option(parser)
    parser.add_argument("--dry-run", action="store_true", help="print what would happen, and change nothing")


def run(options: argparse.Namespace) -> int:
    given, environment = read_metadata(options), EnvironmentName(options.environment)
    sha = given.sha if given else required(options)
    allowed = unverified_is_allowed(options)
    with open_project(options) as project:
        if given:
            ensure_recorded(given, project)
        if options.dry_run:
            plan = project.plan(sha, environment, options.automatic, options.reason, allowed)
            show(options, plan, lambda: plan_card(plan, coloured=coloured(options)))
            return DONE
        with logged(options, project):
            record = project.deploy(sha, environment, options.automatic, options.reason, allowed)
    show(options, record, lambda: deploy_card(record, coloured=coloured(options)))
    return DONE
