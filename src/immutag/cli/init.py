"""`immutag init`: writes immutag.toml, and asks nothing that it can find out."""

import argparse
import os
import re
import shutil
from pathlib import Path
from typing import NamedTuple

from immutag.cli import DONE
from immutag.cli.output import show
from immutag.cli.session import coloured, directory
from immutag.cli.table import card
from immutag.core.errors import ConfigInvalid, ImmutagError
from immutag.core.values import Repository, shown
from immutag.git.commit import GitRepository
from immutag.git.remote import https_url
from immutag.settings import FILE_NAME

_REGISTRIES = {"github.com": "ghcr.io", "gitlab.com": "registry.gitlab.com"}
_LOCAL_REGISTRY = "127.0.0.1:5000"
_ENGINES = ("podman", "docker")


class Found(NamedTuple):
    """What this folder and this machine say."""

    repository: Repository
    main: str
    engine: str | None
    dockerfile: str


def arguments(parser: argparse.ArgumentParser) -> None:
    del parser  # it finds out


def run(options: argparse.Namespace) -> int:
    folder = directory(options).resolve()
    file = folder / (options.config or os.environ.get("IMMUTAG_CONFIG") or FILE_NAME)
    found = find_out(folder)
    written = write(file, found)
    document = {
        "file": str(file),
        "written": written,
        "repository": str(found.repository),
        "main": found.main,
        "engine": found.engine,
    }
    show(options, document, lambda: _text(file, found, written, coloured=coloured(options)))
    return DONE


def find_out(folder: Path) -> Found:
    """The registry from the remote, the branch, the engine on PATH, the Dockerfile's name."""
    remote, main, name = None, None, folder.name
    try:
        repository = GitRepository.find(folder)
    except ImmutagError:
        repository = None
    if repository is not None:
        remote, main, name = repository.remote_url(), repository.default_branch(), repository.root.name
    found = (repository_of(remote) if remote else None) or Repository(_LOCAL_REGISTRY, _path(name))
    if repository is not None and folder.is_relative_to(repository.root) and folder != repository.root:
        # one of several services: they have their commits in common, so each needs a place of its own
        found = Repository(found.host, _path(f"{found.path}/{folder.relative_to(repository.root)}"))
    return Found(
        repository=found,
        main=main or "main",
        engine=next((engine for engine in _ENGINES if shutil.which(engine)), None),
        dockerfile=next((n for n in ("Dockerfile", "Containerfile") if (folder / n).is_file()), "Dockerfile"),
    )


def repository_of(remote: str) -> Repository | None:
    """The registry's repository that belongs to a git remote, where the host has one that we know."""
    page = https_url(remote)
    if page is None:
        return None
    host, _, path = page.partition("://")[2].partition("/")
    registry = _REGISTRIES.get(host.partition(":")[0].lower())
    return Repository(registry, _path(path)) if registry and "/" in path else None


def write(file: Path, found: Found) -> bool:
    """Write the configuration, unless there is one. Raises ConfigInvalid where it cannot be written."""
    try:
        with file.open("x", encoding="utf-8") as out:
            named = found._replace(main=_escaped(found.main))._asdict()
            out.write(_TEMPLATE.format(**named, target=found.engine or _ENGINES[0]))
        state = file.parent / ".immutag"
        state.mkdir(exist_ok=True)
        (state / ".gitignore").write_text("*\n")
    except FileExistsError:
        return False
    except OSError as error:
        raise ConfigInvalid(
            "the configuration cannot be written",
            expected=f"a folder where {file} can be written",
            found=shown(str(error)),
            remedy="immutag -C DIR init",
        ) from error
    return True


def _escaped(text: str) -> str:
    """Inside of a TOML string's quotes: a branch may have such a name."""
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _path(text: str) -> str:
    """A repository's path from a project's name: lowercase, and only what registries take."""
    parts = (
        re.sub("[._-]{2,}", "-", re.sub("[^a-z0-9._-]+", "-", part)).strip("._-")
        for part in text.lower().split("/")
    )
    return "/".join(part for part in parts if part) or "app"


def _text(file: Path, found: Found, written: bool, *, coloured: bool) -> str:
    fields = {
        "wrote" if written else "left as it is": str(file),
        "repository": found.repository if written else None,
        "main branch": found.main if written else None,
        "engine": (found.engine or "none found") if written else None,
        "next": "immutag doctor",
    }
    return card(fields, coloured=coloured)


_TEMPLATE = """\
# What immutag does here. A key that is commented out shows its default.
# Every key can be set by a variable: IMMUTAG_<SECTION>_<KEY>, e.g. IMMUTAG_BUILD_TIMEOUT=900.

[image]
repository = "{repository}"    # canonical: commits on main only
# staging = "{repository}-staging"    # every other commit
main = "{main}"
# short_tag = false

[build]
# builder = "auto"    # docker, buildah or podman
# context = "."
file = "{dockerfile}"
# args = {{ }}
# platforms = ["linux/amd64"]
# timeout = 600

[ledger]
# url = "sqlite:.immutag/ledger.db"

[trust]
# verification = "soft"    # or mandatory, or auto: by the figures
# public_keys = []    # whose signatures count, e.g. ["cosign.pub"]
# identities = []    # whose certificates count, each an issuer and a subject
# keyless = false    # sign as the CI's identity; or with a key's file (key), or a program (signer)

[sbom]
# enabled = false

[metrics]
# enabled = false

[environments.production]
target = "{target}"    # docker, podman or command
# ports = ["127.0.0.1:8080:8080"]
# health = {{ url = "http://127.0.0.1:8080/healthz", timeout = 60 }}
# irreversible = ["migrations/**"]    # a rollback over these stops until acknowledged
"""
