"""Where this immutag comes from: the repository and the commit that workflows are to name."""

import json
from importlib import metadata
from pathlib import Path
from urllib.parse import unquote, urlsplit

from immutag.core.errors import ImmutagError
from immutag.git.commit import GitRepository
from immutag.git.remote import https_url


def own_source(*, certain: bool = False) -> str | None:
    """`host/path@sha`, from what the installer recorded (PEP 610); None where that does not say it.

    A clone may have moved on since something was installed from it. `certain`: it counts only where it is
    what runs, an editable installation.
    """
    try:
        text = metadata.distribution("immutag").read_text("direct_url.json")
        recorded = json.loads(text or "{}")
        if vcs := recorded.get("vcs_info"):
            return _named(recorded["url"], vcs["commit_id"])
        if certain and not recorded["dir_info"].get("editable"):
            return None
        return _of_clone(Path(unquote(urlsplit(recorded["url"]).path)))
    except (metadata.PackageNotFoundError, ValueError, LookupError, TypeError, AttributeError, ImmutagError):
        return None


def _of_clone(folder: Path) -> str | None:
    repository = GitRepository.find(folder)
    remote = repository.remote_url()
    return _named(remote, str(repository.commit(None).sha)) if remote else None


def _named(url: str, sha: str) -> str | None:
    page = https_url(url)
    return f"{page.partition('://')[2].removesuffix('.git')}@{sha}" if page else None
