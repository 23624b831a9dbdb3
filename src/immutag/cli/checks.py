"""What doctor looks at, one function for each part of the machine."""

import re
import shutil
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

from immutag.core.errors import ImmutagError
from immutag.core.values import Repository, shown
from immutag.git.commit import GitRepository
from immutag.process import run
from immutag.settings import CommandTarget, EnvironmentSettings, Settings

if TYPE_CHECKING:
    from immutag.project import Project

_BUILDERS = ("docker", "buildah", "podman")
_PACKAGES = {"docker": "docker.io"}
_INSTALLERS = (
    ("apt-get", "sudo apt-get install --yes"),
    ("dnf", "sudo dnf install --assumeyes"),
    ("apk", "sudo apk add"),
    ("pacman", "sudo pacman --sync --noconfirm"),
)
_ANSWER_S = 15.0


class State(Enum):
    """How a check ended; only `missing` means that immutag cannot do its work here."""

    OK = "ok"
    WARNING = "warning"
    MISSING = "missing"


class Check(NamedTuple):
    """One thing that was looked at. `remedy` is the command that mends it, `sources` who says so."""

    name: str
    state: State
    found: str
    remedy: str = ""
    sources: tuple[str, ...] = ()

    @classmethod
    def failed(cls, name: str, error: ImmutagError) -> Self:
        return cls(name, State.MISSING, f"{error.code}: {error.message}: {error.found}", error.remedy)

    def as_document(self) -> dict[str, object]:
        sources = {"sources": list(self.sources)} if self.sources else {}
        return {
            "check": self.name,
            "state": self.state.value,
            "found": self.found,
            "next": self.remedy,
            **sources,
        }


_OLDEST_GIT = (2, 31)  # the first that takes configuration from the environment: the clone's credentials


def _git_check(version: str) -> Check:
    found = re.search(r"(\d+)\.(\d+)", version)
    if found and (int(found[1]), int(found[2])) < _OLDEST_GIT:
        least = ".".join(map(str, _OLDEST_GIT))
        return Check("git", State.WARNING, f"{version}: a ledger on a branch needs {least}", install("git"))
    return Check("git", State.OK, version)


def machine_checks(folder: Path) -> list[Check]:
    """git, and the repository that this folder is in."""
    if shutil.which("git") is None:
        return [Check("git", State.MISSING, "no git on PATH", install("git"))]
    checks = [_git_check(run(["git", "--version"], timeout_s=_ANSWER_S).text)]
    try:
        repository = GitRepository.find(folder)
        repository.refuse_sha256()
    except ImmutagError as error:
        return [*checks, Check.failed("repository", error)]
    if repository.shallow:
        found = f"{repository.root}: history is cut off, and says what is on main and what comes after what"
        return [*checks, Check("repository", State.WARNING, found, "git fetch --unshallow")]
    return [*checks, Check("repository", State.OK, str(repository.root))]


def environment_checks(settings: Settings) -> list[Check]:
    """The builder and what it builds, and each environment's target."""
    checks = [_builder(settings.build.builder), _dockerfile(settings)]
    checks += [_target(settings, each) for each in settings.environments.values()]
    if not settings.environments:
        checks.append(Check("environments", State.WARNING, "none", "add [environments.production]"))
    return checks


def project_checks(project: "Project", environ: Mapping[str, str]) -> list[Check]:
    """The ledger, and the registry with the credentials that are there."""
    settings = project.settings
    checks = []
    try:
        head = project.ledger.head()
        checks.append(Check("ledger", State.OK, f"{settings.ledger.url}: {head.size} entries"))
    except ImmutagError as error:
        checks.append(Check.failed("ledger", error))
    if environ.get("CI") and not project.ledger.shared:
        checks.append(_unshared(settings))
    image = settings.image
    for host, repository in {each.host: each for each in (image.staging, image.repository)}.items():
        try:
            project.reach(repository)
            checks.append(Check(f"registry {host}", State.OK, "it answers, and lets us in"))
            checks.append(_profile(project, repository))
        except ImmutagError as error:
            checks.append(Check.failed(f"registry {host}", error))
    return checks


def _profile(project: "Project", repository: Repository) -> Check:
    """What others know of such registries: what bears on write-once, and on signatures."""
    from immutag.oci.profiles import Topic

    name, found = "registry profile", project.profile(repository)
    if found is None:
        said = f"{repository.host} is no registry that is known by its name or its greeting"
        return Check(name, State.OK, f"{said}; what it can do is asked each time")
    claims = found.about(Topic.REFERRERS, Topic.IMMUTABLE_TAGS, Topic.CONDITIONAL_PUT)
    text = "; ".join(f"{claim.topic.value}: {claim.text}" for claim in claims)
    sources = tuple(dict.fromkeys(claim.source for claim in claims))
    return Check(name, State.OK, f"{found.title}. {text}", sources=sources)


def install(program: str) -> str:
    """The command that installs a program here."""
    for installer, command in _INSTALLERS:
        if shutil.which(installer):
            return f"{command} {_PACKAGES.get(program, program)}"
    return f"install {program}"


def _builder(wanted: str) -> Check:
    names = _BUILDERS if wanted == "auto" else (wanted,)
    found = [name for name in names if shutil.which(name)]
    if found:
        return Check("builder", State.OK, ", ".join(found))
    return Check("builder", State.MISSING, f"no {', '.join(names)} on PATH", install(names[-1]))


def _dockerfile(settings: Settings) -> Check:
    file = settings.root / settings.build.context / settings.build.file
    if file.is_file():
        return Check("dockerfile", State.OK, str(file))
    remedy = "write it, or correct context and file in [build]; or immutag release --from LAYOUT"
    return Check("dockerfile", State.WARNING, f"no file {file}", remedy)


def _target(settings: Settings, environment: EnvironmentSettings) -> Check:
    name, target = f"environment {environment.name}", environment.target
    if isinstance(target, CommandTarget):
        return _program(name, settings.root, target.apply[0])
    if shutil.which(target.engine) is None:
        return Check(name, State.MISSING, f"no {target.engine} on PATH", install(target.engine))
    answer = run([target.engine, *target.engine_args, "version"], timeout_s=_ANSWER_S)
    if answer.ok:
        return Check(name, State.OK, f"{target.engine} answers")
    found = shown(answer.tail(1)) or f"{target.engine} does not answer"
    return Check(name, State.MISSING, found, f"{target.engine} info")


def _program(name: str, root: Path, program: str) -> Check:
    where = shutil.which(str(root / program) if "/" in program else program)
    if where:
        return Check(name, State.OK, where)
    return Check(
        name, State.MISSING, f"{shown(program)} is no program that can be run", f"chmod +x {program}"
    )


def _unshared(settings: Settings) -> Check:
    found = "CI is set and the ledger is a file of this machine: it cannot keep others from writing a tag"
    if settings.ledger.accept_unshared:
        return Check("shared ledger", State.WARNING, f"{found}; accept_unshared says so be it")
    return Check(
        "shared ledger", State.MISSING, found, "set accept_unshared in [ledger], or release elsewhere"
    )
