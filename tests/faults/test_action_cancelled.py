"""A workflow's run is cancelled: the runner signals the step's own process, a shell, and nothing else."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.parts.site import ROOT, Site

pytestmark = pytest.mark.slow


def test_a_cancelled_build_ends_its_builder_and_says_so(site: Site, tmp_path: Path) -> None:
    mark = f"98{os.getpid()}"
    site.commit("long", {"Dockerfile": f'FROM scratch\nCOPY busybox /b\nRUN ["/b", "sleep", "{mark}"]\n'})
    step = yaml.safe_load((ROOT / "action.yml").read_text())["runs"]["steps"][-1]
    (tmp_path / "step.sh").write_text(step["run"])
    own = {
        "GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(tmp_path / "summary"),
        "IMMUTAG": str(Path(sys.executable).with_name("immutag")), "IMMUTAG_INPUT_COMMAND": "release",
    }  # fmt: skip
    with subprocess.Popen(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", tmp_path / "step.sh"],
        cwd=site.folder, env={**os.environ, **site.env, **own}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as running:  # fmt: skip
        assert running.stderr
        assert any(mark in line for line in running.stderr)
        running.send_signal(signal.SIGINT)
        said, _ = running.communicate(timeout=30)
    assert running.returncode == 130
    assert said.splitlines()[-1].startswith("::error title=INTERRUPTED::")
    assert "INTERRUPTED" in (tmp_path / "summary").read_text()
    assert subprocess.run(["pgrep", "-f", f"sleep {mark}"], check=False, capture_output=True).stdout == b""
    assert site.run("ledger", "verify").returncode == 0
