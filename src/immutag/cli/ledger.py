"""`immutag ledger`: is it what it was, its lines for other programs, and its head."""

import argparse
from pathlib import Path

from immutag.cli import DONE
from immutag.cli.output import show, write_result
from immutag.cli.parser import nested, nested_command
from immutag.cli.session import directory, open_project
from immutag.core.errors import ConfigInvalid
from immutag.core.known_head import KnownHead, parse_head
from immutag.core.values import shown
from immutag.ledger.against import verify
from immutag.ledger.export import export, head_text
from immutag.ledger.head import Head, head_of


def arguments(parser: argparse.ArgumentParser) -> None:
    actions = nested(parser, "action")
    verify = nested_command(actions, "verify", "check every entry, and the chain")
    verify.add_argument(
        "--against",
        metavar="FILE",
        help="a head that was kept: what `ledger head` printed, to see a cut tail",
    )
    nested_command(actions, "export", "print every entry, one JSON object a line")
    nested_command(actions, "head", "print the size and the last hash; keep it outside the ledger")


def run(options: argparse.Namespace) -> int:
    kept = None
    if options.action == "verify" and options.against:
        kept = _read(directory(options) / options.against)
    with open_project(options) as project:
        if options.action == "export":
            for line in export(project.ledger):
                write_result(line)
        elif options.action == "head":
            write_result(head_text(head_of(project.ledger)))
        else:
            head = verify(project.ledger, [kept] if kept else [])
            show(options, head.as_document(), lambda: _verified(head, kept))
    return DONE


def _verified(head: Head, kept: KnownHead | None) -> str:
    against = f"; it holds the {kept.size} entries that were kept in mind" if kept else ""
    return f"{head.size} entries, unbroken to {head.hash}{against}"


def _read(file: Path) -> KnownHead:
    try:
        return parse_head(file.read_text(), str(file))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigInvalid(
            "the kept head cannot be read",
            expected="a file with what `immutag ledger head` printed",
            found=shown(str(error)),
            remedy="immutag ledger head > FILE, when the ledger is known to be right",
        ) from error
