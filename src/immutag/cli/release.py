"""`immutag release`: build → check → push → claim → tag → read back."""

import argparse

from immutag.cli import DONE
from immutag.cli.cards import release_card
from immutag.cli.metadata import remove_metadata, write_metadata
from immutag.cli.output import show
from immutag.cli.session import coloured, directory, logged, open_project
from immutag.cli.sha import required, sha_option


def arguments(parser: argparse.ArgumentParser) -> None:
    sha_option(parser, "the commit to release, a full SHA (default: HEAD)")
    parser.add_argument(
        "--from", dest="given", metavar="PATH",
        help="release this OCI layout, oci-archive or docker-archive instead of building",
    )  # fmt: skip
    parser.add_argument(
        "--metadata-file", metavar="PATH",
        help="write the record there as JSON, whole, when everything is done; `deploy` takes it",
    )  # fmt: skip


def run(options: argparse.Namespace) -> int:
    sha = None if options.sha is None else required(options)
    given = None if options.given is None else directory(options) / options.given
    file = directory(options) / options.metadata_file if options.metadata_file else None
    if file:
        remove_metadata(file)
    with open_project(options) as project, logged(options, project):
        record = project.release(sha, given)
        if file:
            write_metadata(file, record)
    show(options, record, lambda: release_card(record, coloured=coloured(options)))
    return DONE
