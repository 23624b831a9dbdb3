"""Who acts, for the ledger: the person or CI run that this process works for."""

import os
import pwd
from collections.abc import Mapping

from immutag.core.values import shown


def run_address(environ: Mapping[str, str]) -> str | None:
    """The web address of the CI run that this is; None outside CI."""
    server, repository, run = (
        environ.get(name, "") for name in ("GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "GITHUB_RUN_ID")
    )
    if server and repository and run:
        return shown(f"{server}/{repository}/actions/runs/{run}")
    return shown(environ["CI_JOB_URL"]) if environ.get("CI_JOB_URL") else None


def actor(environ: Mapping[str, str]) -> str:
    """`name@machine`, or the CI's own name for who started the run, with the run's address."""
    name = environ.get("GITHUB_ACTOR") or environ.get("GITLAB_USER_LOGIN")
    address = run_address(environ)
    if name and address:
        return shown(f"{name} {address}")
    return shown(f"{_user()}@{os.uname().nodename}")


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a user id without a name, as containers have
        return str(os.getuid())
