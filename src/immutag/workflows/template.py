"""The workflows of a service, rendered. Nothing in them is logic: each step calls immutag (DR-020).

A template's names are `@NAME@`. A line that holds nothing but one whose text is empty is left out.
"""

import re
from collections.abc import Mapping, Sequence
from importlib import resources

from immutag.core.errors import ConfigInvalid, PolicyViolation
from immutag.core.frozen import frozen, replace
from immutag.core.values import EnvironmentName, shown

GITHUB, GITLAB = CI = ("github", "gitlab")
_GITHUB_JOBS = ("build", "deploy", "rollback")
_COMMAND = "immutag workflows init"
_NAME = re.compile(r"@([A-Z_]+)@")
_SERVICE = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_WORD = "[A-Za-z0-9][A-Za-z0-9._-]*"
_SOURCES = {
    GITHUB: (re.compile(f"{_WORD}/{_WORD}@[0-9a-f]{{40}}"), "OWNER/REPOSITORY"),
    GITLAB: (re.compile(f"{_WORD}[.]{_WORD}(?::[0-9]+)?(?:/{_WORD})+@[0-9a-f]{{40}}"), "HOST/REPOSITORY"),
}
_PACKAGE = re.compile(r"[a-z0-9]+(?:[._/-]+[a-z0-9]+)*")
_BRANCH = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]*")
_DIRECTORY = re.compile(r"\.|[A-Za-z0-9_][A-Za-z0-9._-]*(?:/[A-Za-z0-9_][A-Za-z0-9._-]*)*")


@frozen()
class Workflows:
    """What a service's workflows depend on. Nothing that could mean something to YAML or a shell gets in.

    `source` is immutag's own: `owner/repository@sha` on GitHub, `host/path@sha` elsewhere. The first of the
    environments is where commits on `main` go by themselves. `directory`: where immutag.toml is.
    `deploy_on`: the runner that deploys, where it has to be one of one's own. `git_ledger`: jobs push the
    ledger's branch. `keyless`: builds sign with the CI's identity. `packages`: what a clean-up on ghcr.io may
    delete from, sparing what `retention keep` names; none where nothing is cleaned up.
    """

    ci: str
    service: str
    source: str
    main: str
    environments: tuple[EnvironmentName, ...]
    directory: str
    deploy_on: str | None
    git_ledger: bool
    keyless: bool
    packages: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check("service", self.service, _SERVICE, "lowercase letters, digits and -")
        _check("main branch", self.main, _BRANCH, "a branch of letters, digits and . _ / -")
        _check("directory", self.directory, _DIRECTORY, "a relative path of letters, digits and . _ / -")
        if self.deploy_on is not None:
            _check("runner", self.deploy_on, re.compile(_WORD), "a label of letters, digits and . _ -")
        for package in self.packages:
            _check("package", package, _PACKAGE, "a package of letters, digits and . _ / -")
        if self.packages and self.ci != GITHUB:
            raise ConfigInvalid(
                "there is a clean-up for ghcr.io only",
                expected="--ci github",
                found=f"--ci {self.ci}",
                remedy="docs/how-to/clean-up.md says how others are told what to spare",
            )
        if not self.environments:
            raise ConfigInvalid(
                "there is no environment to deploy to",
                expected="at least one of [environments] in immutag.toml, or --environment",
                found="none",
                remedy="immutag workflows init --environment production",
            )
        form, repository = _SOURCES[self.ci]
        if not form.fullmatch(self.source):
            raise PolicyViolation(
                "workflows name immutag by its full commit, which nobody can move",
                expected=f"{repository}@ and 40 lowercase hex characters",
                found=shown(self.source) or "nothing",
                remedy=f"immutag workflows init --source {repository}@SHA",
            )

    def command(self) -> list[str]:
        """The command that writes the same again; it stands at the head of each file."""
        flags = {"git-ledger": self.git_ledger, "keyless": self.keyless, "clean-up": bool(self.packages)}
        return [
            *_COMMAND.split(),
            f"--ci={self.ci}",
            f"--service={self.service}",
            f"--source={self.source}",
            f"--main={self.main}",
            *(f"--environment={each}" for each in self.environments),
            f"--directory={self.directory}",
            *([f"--deploy-on={self.deploy_on}"] if self.deploy_on else []),
            *(f"--{name}" if on else f"--no-{name}" for name, on in flags.items()),
            *(f"--package={each}" for each in self.packages),
        ]

    def commit(self) -> str:
        """The commit of immutag that the jobs install."""
        return self.source.rpartition("@")[2]

    def with_commit(self, sha: str) -> "Workflows":
        """The same, of another commit of the same repository."""
        return replace(self, source=f"{self.source.rpartition('@')[0]}@{sha}")

    def files(self) -> dict[str, str]:
        """Each file's path in the repository, and its text."""
        if self.ci == GITLAB:
            return {f".gitlab/{self.service}.immutag.yml": self._render("gitlab/jobs.yml")}
        jobs = (*_GITHUB_JOBS, "clean-up") if self.packages else _GITHUB_JOBS
        return {
            f".github/workflows/{self.service}-{job}.yml": self._render(f"github/{job}.yml") for job in jobs
        }

    def _render(self, template: str) -> str:
        text = resources.files("immutag.workflows").joinpath("templates", template).read_text("utf-8")
        return f"# {' '.join(self.command())}\n{_HEAD}\n{fill(text, self._texts())}"

    def _texts(self) -> Mapping[str, str]:
        names = [str(each) for each in self.environments]
        source, _, sha = self.source.rpartition("@")
        return {
            "SERVICE": self.service,
            "ACTION": self.source,
            "SOURCE": source,
            "SOURCE_SHA": sha,
            "MAIN": self.main,
            "ENVIRONMENT": names[0],
            "ENVIRONMENTS": f"[{', '.join(map(_text, names))}]",
            "DIRECTORY": self.directory,
            "RUNNER": self.deploy_on or "ubuntu-latest",
            "TAGS": f"tags: [{_text(self.deploy_on)}]" if self.deploy_on else "",
            "PREFIX": "" if self.directory == "." else f"{self.directory}/",
            "CONTENTS": "write # the ledger's branch" if self.git_ledger else "read",
            "PACKAGES": ",".join(self.packages),
            "READING": "persist-credentials: true # git reads the ledger's branch with them"
            if self.git_ledger
            else "persist-credentials: false",
            "CREDENTIALS": _FOR_THE_LEDGER if self.git_ledger else "persist-credentials: false",
            "ID_TOKEN": "id-token: write # keyless signing" if self.keyless else "",
            "ID_TOKENS": "id_tokens: {SIGSTORE_ID_TOKEN: {aud: sigstore}}" if self.keyless else "",
            "LEDGER_CREDENTIALS": _GITLAB_HELPER if self.git_ledger else "",
        }


def fill(text: str, texts: Mapping[str, str]) -> str:
    """The template with its names replaced. Raises KeyError for a name that has no text."""
    lines = []
    for line in text.splitlines():
        filled = _NAME.sub(lambda name: texts[name[1]], line)
        if filled.strip() or not line.strip():
            lines.append(filled)
    return "\n".join(lines) + "\n"


def written_by(text: str) -> Sequence[str] | None:
    """The arguments of the `workflows init` that wrote the file, by its first line. None: another's file."""
    first = text.partition("\n")[0].removeprefix("# ")
    return first.removeprefix(_COMMAND).split() if first.startswith(f"{_COMMAND} ") else None


def _text(name: str) -> str:
    """Text to YAML whatever it is: an environment may be called `on`, and a runner `24.04`."""
    return f'"{name}"'


def _check(what: str, text: str, form: re.Pattern[str], expected: str) -> None:
    if not form.fullmatch(text):
        raise ConfigInvalid(
            f"not a {what} that workflows can name",
            expected=expected,
            found=shown(text) or "nothing",
            remedy="immutag workflows init --help",
        )


_HEAD = """\
# That command writes this file again; `immutag workflows check` says where it differs. What happens is
# decided by immutag and immutag.toml, not here."""
_GITLAB_HELPER = (
    '- git config "credential.$CI_SERVER_URL.helper" '
    """'!f() { echo username=gitlab-ci-token; echo "password=$CI_JOB_TOKEN"; }; f'"""
)
_FOR_THE_LEDGER = "persist-credentials: true # git pushes the ledger's branch with them"
