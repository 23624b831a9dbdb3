"""CI jobs with nothing in common but a registry and a git server: write-once is real there too (law 2)."""

import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.parts.git_http import GitServer
from tests.parts.peers import Crane
from tests.parts.programs import program
from tests.parts.site import Site

pytestmark = pytest.mark.slow

DOCKERFILE = """\
FROM scratch
ARG DIFFERENT
LABEL different=$DIFFERENT
COPY busybox /busybox
"""
# The real builder, which hands its build over only when the other job has built, too.
TOGETHER = """\
#!/bin/sh
{buildah} "$@" || exit
case "$1" in bud | build) ;; *) exit ;; esac
touch "{built}/$$"
for _ in $(seq 600); do
    test "$(ls "{built}" | wc -l)" -ge 2 && exit
    sleep 0.1
done
exit 1
"""


def test_two_jobs_of_one_commit_with_different_builds_make_one_tag_and_both_succeed(
    site: Site, git_http: GitServer, crane: Crane, tmp_path: Path
) -> None:
    sha = site.commit("a build that is never the same", {"Dockerfile": DOCKERFILE})
    built, wrapped = tmp_path / "built", tmp_path / "bin/buildah"
    built.mkdir()
    wrapped.parent.mkdir()
    wrapped.write_text(TOGETHER.format(buildah=program("buildah"), built=built))
    wrapped.chmod(0o755)
    env = {
        "CI": "true",
        "PATH": f"{wrapped.parent}:{os.environ['PATH']}",
        "IMMUTAG_LEDGER_URL": f"git+{git_http.address()}",
    }
    jobs = [tmp_path / f"job-{at}" for at in range(2)]
    for job in jobs:
        shutil.copytree(site.folder, job, symlinks=True)

    def release(at: int) -> dict[str, str]:
        more = {"IMMUTAG_BUILD_ARGS": f'{{ DIFFERENT = "{at}" }}'}
        found: dict[str, str] = site.json("-C", jobs[at], "release", env={**env, **more})
        return found

    with ThreadPoolExecutor(2) as pool:
        records = list(pool.map(release, range(2)))
    assert len(list(built.iterdir())) == 2
    assert {each["image_digest"] for each in records} == {crane.digest(f"{site.repository}:{sha}")}
    assert crane.tags(site.repository) == [str(sha)]
    lines = [json.loads(line) for line in site.run("ledger", "export", env=env).stdout.splitlines()]
    kinds = [line["type"] for line in lines]
    assert (kinds.count("claimed"), kinds.count("tagged")) == (1, 1)
    assert site.json("ledger", "verify", env=env)["size"] == len(lines)
    assert not site.ledger.exists()


def test_a_job_deploys_what_another_released(site: Site, git_http: GitServer, tmp_path: Path) -> None:
    env = {"CI": "true", "IMMUTAG_LEDGER_URL": f"git+{git_http.address()}"}
    site.json("release", env=env)
    other = tmp_path / "other"
    shutil.copytree(site.folder, other, symlinks=True, ignore=shutil.ignore_patterns(".immutag"))
    deployed = site.json("-C", other, "deploy", "--sha", site.sha, "--environment", "staging", env=env)
    assert deployed["outcome"] == "ok"
    [status] = [each for each in site.json("status", env=env) if each["environment"] == "staging"] or [None]
    assert status is not None
    assert status["image_sha"] == str(site.sha)
