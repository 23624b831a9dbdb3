"""`immutag retention`: what clean-up jobs must spare, in the forms that they take. Nothing is deleted."""

import argparse

from immutag.cli import DONE
from immutag.cli.output import show, write_result
from immutag.cli.parser import nested, nested_command
from immutag.cli.report import open_report
from immutag.cli.session import coloured, open_project
from immutag.cli.table import Styled, table
from immutag.core.retention import NEVER_DEPLOYED, KeepList, Kept
from immutag.core.retention_forms import FORMS, Form
from immutag.core.values import EnvironmentName

_HEADERS = ("repository", "sha", "digest", "why", "manifests")


def arguments(parser: argparse.ArgumentParser) -> None:
    keep = nested_command(
        nested(parser, "action"),
        "keep",
        "list what clean-up must spare: what runs, what it can go back to, and all that belongs to these",
    )
    keep.add_argument(
        "--environment", "--env", action="append", default=[], metavar="NAME", type=EnvironmentName,
        help="only what this one needs, may be repeated (default: all that the ledger knows)",
    )  # fmt: skip
    keep.add_argument(
        "--candidates", type=_count, default=10, metavar="N",
        help="releases to go back to, of each environment (default: 10); the "
        f"{NEVER_DEPLOYED} newest of each repository that nobody deployed yet are always listed",
    )  # fmt: skip
    keep.add_argument(
        "--format", choices=("text", "json", *FORMS), default="text", help="as a clean-up tool takes it"
    )


def run(options: argparse.Namespace) -> int:
    form = FORMS.get(options.format)
    with open_project(options) as project:
        found = project.keep(options.environment, options.candidates)
    options.json = options.json or options.format == "json"
    if form and not options.json:
        value = form.render(found)
        with open_report(options) as report:
            report.step(f"{form.tool} cannot be told: {form.cannot}")
        write_result(value)
        return DONE
    document = {**found.as_document(), "form": form and _form_document(options.format, form, found)}
    show(options, document, lambda: _text(found, coloured=coloured(options)))
    return DONE


def _form_document(name: str, form: Form, found: KeepList) -> dict[str, str]:
    return {
        "name": name,
        "tool": form.tool,
        "value": form.render(found),
        "cannot": form.cannot,
        "source": form.source,
    }


def _text(found: KeepList, *, coloured: bool) -> str:
    rows = [_row(each) for each in found.releases]
    lines = [table(_HEADERS, rows, coloured=coloured), ""]
    lines.append(f"{len(found.digests)} manifests and {len(found.tags)} tags are to be spared")
    if found.checkpoints:
        lines.append(f"{len(found.checkpoints)} of the manifests are checkpoints of the ledger")
    return "\n".join(lines)


def _row(kept: Kept) -> tuple[object, ...]:
    why = dict.fromkeys(
        f"{each.reason.value}: {each.environment}" if each.environment else each.reason.value
        for each in kept.reasons
    )
    return (
        kept.image.repository,
        str(kept.sha)[:12],
        str(kept.image.digest)[:19],
        ", ".join(why),
        len(kept.pieces) if kept.there else Styled.of("gone from the registry", "warn"),
    )


def _count(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) <= 1000:
        raise argparse.ArgumentTypeError("a number from 1 to 1000")
    return int(text)
