"""`immutag history`: what happened, newest first; with `--follow`, what happens now."""

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from immutag.cli import DONE
from immutag.cli.output import clean, reader_leaves, show, write_json, write_result
from immutag.cli.session import coloured, open_project
from immutag.cli.table import Styled, table
from immutag.core.facts import Entry, encode
from immutag.core.values import EnvironmentName
from immutag.ledger.chain import preimage

if TYPE_CHECKING:
    from immutag.project import Project

_POLL_S = 0.5
_HEADERS = ("time", "what", "sha", "where", "who", "detail")
_BAD = {"stopped", "failed", "restored"}
_GOOD = {"tagged", "healthy", "rolled_back"}


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--environment", "--env", metavar="NAME", help="only this environment")
    parser.add_argument("--limit", type=_count, default=20, metavar="N", help="the newest N (default: 20)")
    parser.add_argument(
        "--follow",
        action="store_true",
        help="then wait for more; with --json one document a line, until interrupted",
    )


def run(options: argparse.Namespace) -> int:
    environment = EnvironmentName(options.environment) if options.environment else None
    with open_project(options) as project:
        seen = project.ledger.head().size
        found = project.history(environment, options.limit)
        if options.follow:
            _follow(options, project, environment, found, seen)
            return DONE
    show(options, [_document(entry) for entry in found], lambda: _text(found, coloured(options)))
    return DONE


def _follow(
    options: argparse.Namespace,
    project: "Project",
    environment: EnvironmentName | None,
    found: Sequence[Entry],
    seen: int,
) -> None:
    """What was found, oldest first, and then whatever comes, until interrupted, or nobody reads any more."""
    if not all(_print(options, entry) for entry in reversed(found)):
        return
    seen = max([seen, *(entry.sequence for entry in found)])
    while not reader_leaves(within_s=_POLL_S):
        for entry in project.ledger.entries(after=seen):
            seen = entry.sequence
            wanted = environment is None or getattr(entry.fact, "environment", None) == environment
            if wanted and not _print(options, entry):
                return


def _print(options: argparse.Namespace, entry: Entry) -> bool:
    document = _document(entry)
    return write_result(
        write_json(document) if options.json else "  ".join(clean(str(cell)) for cell in _row(entry))
    )


def _document(entry: Entry) -> dict[str, object]:
    return {**preimage(entry), "hash": entry.hash}


def _text(found: Sequence[Entry], coloured: bool) -> str:
    if not found:
        return "nothing has happened yet"
    return table(_HEADERS, [_row(entry) for entry in found], coloured=coloured)


def _row(entry: Entry) -> tuple[object, ...]:
    fact = encode(entry.fact)
    kind = entry.fact.type
    style = "bad" if kind in _BAD else "good" if kind in _GOOD else "faint"
    return (
        entry.time,
        Styled.of(kind, style),
        str(fact.get("sha") or fact.get("quarantined") or "-")[:12],
        fact.get("environment") or fact.get("repository") or "-",
        entry.actor,
        _detail(fact) or "",
    )


def _detail(fact: dict[str, object]) -> object:
    """The one thing about this fact that a reader looks for."""
    if fact.get("signed") is not None:
        return f"{fact['signed']} of {fact['deployed']} signed, {fact['failures']} of {fact['checks']} failed"
    for name in ("message", "why", "reason", "outcome", "status", "write_once", "digest"):
        if fact.get(name):
            return fact[name]
    return None


def _count(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) <= 1_000_000:
        raise argparse.ArgumentTypeError("a number from 1 to 1000000")
    return int(text)
