"""`immutag metrics`: the Prometheus exposition, folded from the ledger, also when emission is off."""

import argparse

from immutag.cli import DONE
from immutag.cli.output import show
from immutag.cli.session import open_project


def arguments(parser: argparse.ArgumentParser) -> None:
    del parser  # no options of its own


def run(options: argparse.Namespace) -> int:
    with open_project(options) as project:
        exposition = project.exposition().rstrip("\n")
    show(options, {"exposition": exposition}, lambda: exposition)
    return DONE
