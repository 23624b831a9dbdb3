"""`immutag sbom`: what is in a release, and what another one has instead."""

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from immutag.cli import DONE
from immutag.cli.output import show, write_json, write_result
from immutag.cli.parser import nested, nested_command
from immutag.cli.session import coloured, open_project
from immutag.cli.table import table
from immutag.core.facts import Evidence

if TYPE_CHECKING:
    from immutag.core.packages import Difference, Package
    from immutag.project import Project

_FORMATS = {"cyclonedx": Evidence.CYCLONEDX, "spdx": Evidence.SPDX}
_SHA = "a full or short SHA, or production~1"


def arguments(parser: argparse.ArgumentParser) -> None:
    actions = nested(parser, "action")
    listing = nested_command(actions, "show", "list the packages of a release, or print its SBOM")
    listing.add_argument("sha", metavar="SHA", help=_SHA)
    listing.add_argument("--format", choices=tuple(_FORMATS), help="print the document itself")
    diff = nested_command(actions, "diff", "the packages that another release adds, removes, or changes")
    diff.add_argument("old", metavar="OLD", help=_SHA)
    diff.add_argument("new", metavar="NEW", help=_SHA)


def run(options: argparse.Namespace) -> int:
    with open_project(options) as project:
        if options.action == "diff":
            return _diff(options, project)
        return _show(options, project)


def _show(options: argparse.Namespace, project: "Project") -> int:
    from immutag.core.sbom import packages

    found = project.sbom(options.sha, _FORMATS.get(options.format))
    if options.format:
        write_result(write_json(found.document))
        return DONE
    listed = packages(found.document)
    show(
        options,
        found.as_document(),
        lambda: f"{_packages(listed, coloured=coloured(options))}\n\n{len(listed)} packages in {found.image}",
    )
    return DONE


def _diff(options: argparse.Namespace, project: "Project") -> int:
    found = project.sbom_difference(options.old, options.new)
    show(options, found.as_document(), lambda: _difference(found, coloured=coloured(options)))
    return DONE


def _packages(listed: "Sequence[Package]", *, coloured: bool) -> str:
    rows = [(each.name, each.version, each.purl or None) for each in listed]
    return table(("package", "version", "purl"), rows, coloured=coloured)


def _difference(found: "Difference", *, coloured: bool) -> str:
    rows = [
        *(("changed", each.name, each.old, each.new) for each in found.changed),
        *(("added", each.name, None, each.version) for each in found.added),
        *(("removed", each.name, each.version, None) for each in found.removed),
    ]
    if not rows:
        return "the same packages in the same versions"
    return f"{table(('', 'package', 'old', 'new'), rows, coloured=coloured)}\n\n{found}"
