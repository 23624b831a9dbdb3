"""GitLab's jobs as they run: the scripts of the rendered file, each in a clone of its own, run by a shell."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from immutag.core.values import GitSha
from tests.parts.act import OF_THE_ACTION, copy_of_the_action
from tests.parts.checkouts import Checkout
from tests.parts.peers import Crane
from tests.parts.site import Site

pytestmark = pytest.mark.slow


@dataclass(slots=True)
class Pipelines:
    """Runs jobs as a runner with the shell executor does: variables, a fresh clone, scripts, artifacts."""

    site: Site
    box: Path
    jobs: Mapping[str, Any]
    env: dict[str, str]
    count: int = field(default=0)

    def run(
        self,
        name: str,
        sha: GitSha,
        *,
        artifacts_of: Path | None = None,
        install: bool = False,
        variables: Mapping[str, str] | None = None,
    ) -> tuple[subprocess.CompletedProcess[str], Path]:
        """One job of the commit's pipeline; `variables` is what a person gives it."""
        given = variables or {}
        job = self.jobs[name]
        base = self.jobs[job["extends"]]
        self.count += 1
        clone = self.box / f"job-{self.count}"
        self.site.checkout.git("clone", "--quiet", self.site.folder, clone)
        Checkout(clone).git("checkout", "--quiet", "--detach", sha)
        if artifacts_of:
            _copy_artifacts(self.jobs[job["needs"][0]], artifacts_of, clone, str(sha))
        predefined = {
            "CI": "true", "CI_COMMIT_SHA": str(sha), "GITLAB_USER_LOGIN": "ada", "CI_SERVER_URL": "https://g",
        }  # fmt: skip
        defined = {**base["variables"], **job.get("variables", {}), **given}
        env = {**os.environ, **self.site.env, **self.env, **predefined}
        for variable, value in defined.items():
            env[variable] = value if variable in given else _expanded(value, env)
        if not install:
            env["PATH"] = f"{Path(sys.executable).parent}:{env['PATH']}"
        script = [*(base["before_script"] if install else []), *job["script"]]
        done = subprocess.run(
            ["bash", "-eo", "pipefail", "-c", "\n".join(script)],
            cwd=clone, env=env, capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip
        return done, clone


def _expanded(value: str, env: Mapping[str, str]) -> str:
    """A variable's value in the file, with the variables in it. One that is not defined is empty."""
    for name in sorted(env, key=len, reverse=True):
        value = value.replace(f"${name}", env[name])
    return value if "$" not in value else ""


def _copy_artifacts(job: Mapping[str, Any], source: Path, target: Path, sha: str) -> None:
    for pattern in job["artifacts"]["paths"]:
        path = pattern.replace("$CI_COMMIT_SHA", sha).rstrip("/")
        if (source / path).exists():
            (target / path).parent.mkdir(parents=True, exist_ok=True)
            copy = shutil.copytree if (source / path).is_dir() else shutil.copy
            copy(source / path, target / path)


@pytest.fixture
def pipelines(site: Site, tmp_path: Path) -> Pipelines:
    """Its immutag is fetched by commit, from a repository that stands for the public one."""
    own = Checkout(tmp_path / "own")
    copy_of_the_action(own.path)
    own.git("init", "--quiet")
    sha = own.commit("immutag")
    assert set(OF_THE_ACTION) <= {path.name for path in own.path.iterdir()}
    (tmp_path / "gitconfig").write_text(
        f'[url "{own.path}"]\n\tinsteadOf = https://git.example.com/owner/immutag\n'
    )
    site.json("workflows", "init", "--ci", "gitlab", "--source", f"git.example.com/owner/immutag@{sha}")
    site.commit("workflows")
    (tmp_path / "ledger").mkdir()
    env = {
        "GIT_CONFIG_GLOBAL": str(tmp_path / "gitconfig"),
        "IMMUTAG_LEDGER_URL": f"sqlite:{tmp_path / 'ledger' / 'ledger.db'}",
        "IMMUTAG_LEDGER_ACCEPT_UNSHARED": "true",
    }
    jobs = yaml.safe_load((site.folder / ".gitlab" / "api.immutag.yml").read_text())
    return Pipelines(site, tmp_path, jobs, env)


def test_a_service_goes_through_its_jobs(pipelines: Pipelines, site: Site, crane: Crane) -> None:
    first = site.sha
    built, clone = pipelines.run("api-build", first, install=True)
    assert built.returncode == 0, built.stderr
    assert crane.tags(site.repository) == [str(first)]
    deployed, _ = pipelines.run("api-deploy", first, artifacts_of=clone)
    assert deployed.returncode == 0, deployed.stderr
    assert str(first) in site.answer()

    second = site.commit("better")
    built, clone = pipelines.run("api-build", second)
    assert built.returncode == 0, built.stderr
    assert pipelines.run("api-deploy", second, artifacts_of=clone)[0].returncode == 0
    assert str(second) in site.answer()

    by_hand = {"IMAGE_SHA": str(first), "REASON": "it's $(touch pwned)"}
    assert pipelines.run("api-check", second, variables=by_hand)[0].returncode == 0
    back, clone = pipelines.run("api-rollback", second, variables=by_hand)
    assert back.returncode == 0, back.stderr
    assert str(first) in site.answer()
    assert not (clone / "pwned").exists()

    third = site.commit("a fix, but nobody lifted the hold")
    built, clone = pipelines.run("api-build", third)
    assert built.returncode == 0, built.stderr
    held, _ = pipelines.run("api-deploy", third, artifacts_of=clone)
    assert (held.returncode, "held" in held.stderr) == (14, True)
    to_staging = {"IMAGE_SHA": str(third), "DEPLOY_TO": "staging"}
    deployed, _ = pipelines.run("api-deploy-sha", third, variables=to_staging)
    assert deployed.returncode == 0, deployed.stderr
    assert (site.box / "applied").read_text().split() == [str(third)]


def test_a_branch_is_released_to_staging_and_never_runs_in_production(
    pipelines: Pipelines, site: Site, crane: Crane
) -> None:
    site.checkout.git("switch", "--quiet", "--create", "topic")
    topic = site.commit("an idea")
    built, _ = pipelines.run("api-build", topic)
    assert built.returncode == 0, built.stderr
    assert crane.tags(f"{site.repository}-staging") == [str(topic)]
    assert pipelines.run("api-deploy-sha", topic, variables={"IMAGE_SHA": str(topic)})[0].returncode == 14


@pytest.mark.parametrize("sha", ["latest", "; touch pwned", "0123456789ab"])
def test_nothing_but_a_full_sha_passes_the_check(sha: str, pipelines: Pipelines, site: Site) -> None:
    done, clone = pipelines.run("api-check", site.sha, variables={"IMAGE_SHA": sha})
    assert done.returncode == 14
    assert not (clone / "pwned").exists()
