"""Twenty processes release one commit, each with a build of its own that differs (law 2)."""

import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.parts.peers import Crane
from tests.parts.programs import program
from tests.parts.site import Site

PROCESSES = 20
_IMMUTAG = Path(sys.executable).with_name("immutag")


DOCKERFILE = """\
FROM scratch
ARG DIFFERENT
LABEL different=$DIFFERENT
COPY busybox /busybox
"""
# The real builder, which hands its build over only when all the others have built, too.
TOGETHER = """\
#!/bin/sh
{buildah} "$@" || exit
case "$1" in bud | build) ;; *) exit ;; esac
touch "{built}/$$"
for _ in $(seq 600); do
    test "$(ls "{built}" | wc -l)" -ge {processes} && exit
    sleep 0.1
done
exit 1
"""


@pytest.mark.slow
def test_all_win_with_the_one_claimed_digest(
    site: Site, crane: Crane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sha = site.commit("a build that is never the same", {"Dockerfile": DOCKERFILE})
    ledger, built, wrapped = tmp_path / "shared/ledger.db", tmp_path / "built", tmp_path / "bin/buildah"
    built.mkdir()
    wrapped.parent.mkdir()
    wrapped.write_text(TOGETHER.format(buildah=program("buildah"), built=built, processes=PROCESSES))
    wrapped.chmod(0o755)
    monkeypatch.setenv("PATH", f"{wrapped.parent}:{os.environ['PATH']}")
    clones = [clone(site, tmp_path, at) for at in range(PROCESSES)]
    with ThreadPoolExecutor(PROCESSES) as pool:
        ended = list(pool.map(lambda at: release(site, clones[at], ledger, at), range(PROCESSES)))
    assert [each.stderr for each in ended if each.returncode != 0] == []
    digests = {json.loads(each.stdout)["image_digest"] for each in ended}
    assert digests == {crane.digest(f"{site.repository}:{sha}")}
    facts = export(site, ledger)
    assert [fact["fact"]["digest"] for fact in facts if fact["type"] == "claimed"] == list(digests)
    assert [fact["type"] for fact in facts].count("tagged") == 1
    assert {f"sha256:{digest}" for digest in in_registry(site, f"tags/{sha}/index/sha256")} == digests
    assert len(in_registry(site, "revisions/sha256")) > 1, "no other build came to the registry: no race"


def in_registry(site: Site, below: str) -> list[str]:
    """The digests that the registry's own files name: all that a tag ever had, all that were pushed."""
    assert site.registry.storage
    manifests = (
        site.registry.storage / "docker/registry/v2/repositories" / site.repository.path / "_manifests"
    )
    return [entry.name for entry in (manifests / below).iterdir()]


def clone(site: Site, folder: Path, at: int) -> Path:
    copy = folder / f"clone-{at}"
    shutil.copytree(site.folder, copy, symlinks=True)
    return copy


def release(site: Site, folder: Path, ledger: Path, at: int) -> subprocess.CompletedProcess[str]:
    return immutag(site, folder, ledger, "release", "--json", IMMUTAG_BUILD_ARGS=f'{{ DIFFERENT = "{at}" }}')


def export(site: Site, ledger: Path) -> list[dict[str, Any]]:
    said = immutag(site, site.folder, ledger, "ledger", "export")
    assert immutag(site, site.folder, ledger, "ledger", "verify").returncode == 0
    return [json.loads(line) for line in said.stdout.splitlines()]


def immutag(
    site: Site, folder: Path, ledger: Path, *arguments: str, **env: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [_IMMUTAG, *arguments],
        cwd=folder,
        env={**os.environ, **site.env, "IMMUTAG_LEDGER_URL": f"sqlite:{ledger}", **env},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
