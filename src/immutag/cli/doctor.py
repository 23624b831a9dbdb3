"""`immutag doctor`: what is missing on this machine, each with the command that mends it.

Nothing is changed, but for `--probe`, which tries the registry on a scratch tag of the staging repository.
"""

import argparse
import os
from pathlib import Path

from immutag.cli import DONE
from immutag.cli.checks import Check, State, environment_checks, machine_checks, project_checks
from immutag.cli.output import show
from immutag.cli.session import coloured, directory, open_project
from immutag.cli.table import Styled, table
from immutag.cli.trust_checks import trust_checks
from immutag.core.errors import ConfigInvalid, ImmutagError
from immutag.settings import Settings, load

_STYLES = {State.OK: "good", State.WARNING: "warn", State.MISSING: "bad"}


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--probe",
        action="store_true",
        help="measure how write-once the registry is, on a scratch tag of staging",
    )


def run(options: argparse.Namespace) -> int:
    checks = machine_checks(directory(options))
    try:
        settings = load(directory(options), Path(options.config) if options.config else None, os.environ)
    except ImmutagError as error:
        checks.append(Check.failed("configuration", error))
    else:
        checks.append(Check("configuration", State.OK, str(settings.file)))
        checks += _with_configuration(options, settings)
    ready = all(check.state is not State.MISSING for check in checks)
    show(
        options,
        {"ready": ready, "checks": [check.as_document() for check in checks]},
        lambda: _text(checks, ready, coloured=coloured(options)),
    )
    return DONE if ready else ConfigInvalid.exit_status


def _with_configuration(options: argparse.Namespace, settings: Settings) -> list[Check]:
    checks = environment_checks(settings)
    try:
        with open_project(options) as project:
            checks += project_checks(project, os.environ)
            checks += trust_checks(project)
            if options.probe:
                checks.append(Check("write-once", State.OK, project.probe().value))
    except ImmutagError as error:
        checks.append(Check.failed("project", error))
    return checks


def _text(checks: list[Check], ready: bool, *, coloured: bool) -> str:
    rows = [(c.name, Styled.of(c.state.value, _STYLES[c.state]), c.found) for c in checks]
    lines = [table(("check", "state", "found"), rows, coloured=coloured), ""]
    lines += [f"{check.name}: {check.remedy}" for check in checks if check.remedy]
    return "\n".join([*lines, "ready" if ready else "something is missing"])
