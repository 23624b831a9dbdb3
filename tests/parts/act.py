"""GitHub's workflows on this machine: `act` runs the rendered files, with our action and the real command."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.parts.programs import peer
from tests.parts.site import ROOT, Site

SOURCE = "owner/immutag@0123456789abcdef0123456789abcdef01234567"
OF_THE_ACTION = ("action.yml", "src", "pyproject.toml", "requirements.lock", "README.md", "LICENSE")
_CHECKOUT = """\
name: checkout
inputs:
  ref: {default: ""}
  fetch-depth: {default: "1"}
runs:
  using: composite
  steps:
    - shell: sh
      env: {REF: "${{ inputs.ref }}", DEPTH: "${{ inputs.fetch-depth }}"}
      run: |
        git init --quiet . && test "$DEPTH" = 0
        git fetch --quiet --force "$ORIGIN" "+refs/heads/*:refs/remotes/origin/*"
        git checkout --quiet --force --detach "${REF:-$GITHUB_SHA}"
"""
_UPLOAD = """\
name: upload
inputs:
  name: {required: true}
  path: {required: true}
  if-no-files-found: {default: warn}
runs:
  using: composite
  steps:
    - shell: sh
      env: {NAME: "${{ inputs.name }}", FROM: "${{ inputs.path }}", ABSENT: "${{ inputs.if-no-files-found }}"}
      run: |
        test -e "$FROM" || exec test "$ABSENT" = ignore
        mkdir -p "$ARTIFACTS/$NAME" && cp -R "$FROM" "$ARTIFACTS/$NAME/"
"""
_DOWNLOAD = """\
name: download
inputs:
  name: {required: true}
  path: {required: true}
runs:
  using: composite
  steps:
    - shell: sh
      env: {NAME: "${{ inputs.name }}", TO: "${{ inputs.path }}"}
      run: mkdir -p "$TO" && cp -R "$ARTIFACTS/$NAME/." "$TO/"
"""
_FOLDERS = {
    "actions/checkout": "checkout",
    "actions/upload-artifact": "upload",
    "actions/download-artifact": "download",
    "owner/immutag": "immutag",
}


@dataclass(frozen=True, slots=True)
class Run:
    """A workflow's run: `ok`, and everything that act printed."""

    ok: bool
    log: str

    @property
    def annotations(self) -> str:
        """The failures that the service would show at the run."""
        return "\n".join(re.findall(r"::error .*", self.log))

    @property
    def summaries(self) -> str:
        return "\n".join(re.findall(r"Summary - (.*)", self.log))


@dataclass(slots=True)
class Act:
    """The site's workflows. `artifacts` is where uploads end; `env` reaches every step, a secret those that
    name it."""

    site: Site
    box: Path
    env: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, text in (("checkout", _CHECKOUT), ("upload", _UPLOAD), ("download", _DOWNLOAD)):
            (self.box / name).mkdir(parents=True)
            (self.box / name / "action.yml").write_text(text)
        copy_of_the_action(self.box / "immutag")
        self.artifacts.mkdir()
        self.env |= {**self.site.env, "ARTIFACTS": str(self.artifacts), "ORIGIN": str(self.site.folder)}

    @property
    def artifacts(self) -> Path:
        return self.box / "artifacts"

    def push(self, *, installed: bool = True) -> Run:
        """What a push of the checked out branch starts."""
        branch = self.site.checkout.git("symbolic-ref", "--short", "HEAD")
        repository = {"full_name": "owner/api"}
        event = {"ref": f"refs/heads/{branch}", "after": str(self.site.sha), "repository": repository}
        return self._run("push", "build", event, installed)

    def dispatch(self, job: str, *, installed: bool = True, **inputs: str) -> Run:
        """Somebody starts `deploy` or `rollback` by hand."""
        return self._run("workflow_dispatch", job, {"inputs": inputs}, installed)

    def _run(self, trigger: str, job: str, event: Mapping[str, object], installed: bool) -> Run:
        (self.box / "event.json").write_text(json.dumps(event))
        inputs = event.get("inputs") or {}
        assert isinstance(inputs, dict)
        argv = [
            peer("act"), trigger, "--workflows", f".github/workflows/api-{job}.yml", "--eventpath",
            str(self.box / "event.json"), "--platform", "ubuntu-latest=-self-hosted", "--no-cache-server",
            "--no-skip-checkout", "--pull=false", "--action-offline-mode",
            *(f"--local-repository={used}={self.box / name}" for used, name in self._replaced()),
            *(word for name, value in self.env.items() for word in ("--env", f"{name}={value}")),
            *(word for name, value in inputs.items() for word in ("--input", f"{name}={value}")),
            *(word for name in self.secrets for word in ("--secret", name)),
            *(["--var", f"IMMUTAG={Path(sys.executable).with_name('immutag')}"] if installed else []),
        ]  # fmt: skip
        own = {"HOME": str(self.box), "XDG_CACHE_HOME": str(self.box), **self.secrets}
        finished = subprocess.run(
            argv, cwd=self.site.folder, env={**os.environ, **own},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=300,
        )  # fmt: skip
        return Run(finished.returncode == 0, finished.stdout)

    def _replaced(self) -> list[tuple[str, str]]:
        """Every action that the workflows name, and the folder of what stands for it here."""
        files = (self.site.folder / ".github" / "workflows").glob("*.yml")
        used = set(re.findall(r"uses: ([^\s./]\S+)", "\n".join(file.read_text() for file in files)))
        return [(each, _FOLDERS[each.partition("@")[0]]) for each in sorted(used)]


def copy_of_the_action(folder: Path) -> None:
    """What is fetched of this repository by those who use its action."""
    folder.mkdir()
    for name in OF_THE_ACTION:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)


def forget_queue(workflows: Path) -> None:
    """act 0.2 knows no `queue` in `concurrency`, and does nothing about concurrency anyway."""
    for file in workflows.glob("*.yml"):
        file.write_text(re.sub(r"^ +queue: max.*\n", "", file.read_text(), flags=re.MULTILINE))
