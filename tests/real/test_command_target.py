"""The command target with real programs: what they are told, what they are not, and what they may answer."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from immutag.core.deployment import NothingRuns, Placement, Running, Unobservable
from immutag.core.errors import ConfigInvalid, DeployFailure
from immutag.core.values import Digest, EnvironmentName, GitSha, ImageRef, Repository
from immutag.deploy.command import CommandTarget

PRODUCTION = EnvironmentName("production")
OLD, NEW = GitSha("1" * 40), GitSha("2" * 40)
REPOSITORY = Repository("ghcr.io", "owner/api")
OLD_IMAGE = ImageRef(REPOSITORY, Digest("sha256:" + "1" * 64))
NEW_IMAGE = ImageRef(REPOSITORY, Digest("sha256:" + "2" * 64))
UPDATE = Placement(NEW_IMAGE, NEW, PRODUCTION, OLD_IMAGE, OLD)
LIMIT_S = 30.0
ROOT = Path(__file__).parents[2]
DUMP = "import json, os; open('told', 'w').write(json.dumps(dict(os.environ)))"


def target(folder: Path, *, apply: str = "", observe: str = "") -> CommandTarget:
    """Shell programs; an empty `observe` is none."""
    return CommandTarget(
        PRODUCTION,
        apply=("/bin/sh", "-c", apply),
        observe=("/bin/sh", "-c", observe) if observe else (),
        cwd=folder,
    )


def dumping(folder: Path) -> CommandTarget:
    return CommandTarget(PRODUCTION, apply=(sys.executable, "-c", DUMP), observe=(), cwd=folder)


def told(folder: Path) -> dict[str, str]:
    said: dict[str, str] = json.loads((folder / "told").read_text())
    return said


def test_apply_is_told_what_to_run_and_what_runs(tmp_path: Path) -> None:
    dumping(tmp_path).place(UPDATE, timeout_s=LIMIT_S)
    assert {key: value for key, value in told(tmp_path).items() if key.startswith("IMMUTAG_")} == {
        "IMMUTAG_ACTS_ON": f"production from {tmp_path}",
        "IMMUTAG_IMAGE": str(NEW_IMAGE),
        "IMMUTAG_IMAGE_SHA": str(NEW),
        "IMMUTAG_DIGEST": str(NEW_IMAGE.digest),
        "IMMUTAG_ENVIRONMENT": "production",
        "IMMUTAG_PREVIOUS_IMAGE": str(OLD_IMAGE),
    }


def test_restore_is_an_apply_of_the_previous_image(tmp_path: Path) -> None:
    dumping(tmp_path).restore(UPDATE, timeout_s=LIMIT_S)
    said = told(tmp_path)
    assert (said["IMMUTAG_IMAGE"], said["IMMUTAG_IMAGE_SHA"]) == (str(OLD_IMAGE), str(OLD))
    assert said["IMMUTAG_PREVIOUS_IMAGE"] == str(NEW_IMAGE)


def test_restore_without_a_previous_image_runs_nothing(tmp_path: Path) -> None:
    first = Placement(NEW_IMAGE, NEW, PRODUCTION, None, None)
    dumping(tmp_path).restore(first, timeout_s=LIMIT_S)
    assert not (tmp_path / "told").exists()


def test_the_first_deployment_has_an_empty_previous_image(tmp_path: Path) -> None:
    dumping(tmp_path).place(Placement(NEW_IMAGE, NEW, PRODUCTION, None, None), timeout_s=LIMIT_S)
    assert told(tmp_path)["IMMUTAG_PREVIOUS_IMAGE"] == ""


def test_the_registry_s_secrets_are_not_for_the_team_s_programs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMMUTAG_REGISTRY_USERNAME", "robot")
    monkeypatch.setenv("IMMUTAG_REGISTRY_PASSWORD", "correct horse")
    monkeypatch.setenv("THEIR_OWN_TOKEN", "theirs")
    dumping(tmp_path).place(UPDATE, timeout_s=LIMIT_S)
    said = told(tmp_path)
    assert "IMMUTAG_REGISTRY_USERNAME" not in said and "IMMUTAG_REGISTRY_PASSWORD" not in said
    assert said["THEIR_OWN_TOKEN"] == "theirs"
    assert os.environ["IMMUTAG_REGISTRY_PASSWORD"] == "correct horse"


ONE, TWO = (frozenset({image.digest}) for image in (OLD_IMAGE, NEW_IMAGE))


@pytest.mark.parametrize(
    ("printed", "expected"),
    [
        ("", NothingRuns()),
        ("\n  \n", NothingRuns()),
        (f"{OLD_IMAGE.digest}\n", Running((ONE,))),
        (f"{OLD_IMAGE}", Running((ONE,))),
        (f"docker.io/library/api@{OLD_IMAGE.digest}\r\n", Running((ONE,))),
        (f"{OLD_IMAGE}\n\n {NEW_IMAGE.digest} \n", Running((ONE, TWO))),
    ],
)
def test_what_observe_prints(tmp_path: Path, printed: str, expected: NothingRuns | Running) -> None:
    (tmp_path / "said").write_bytes(printed.encode())
    assert target(tmp_path, observe="cat said; echo noise >&2").observe(timeout_s=LIMIT_S) == expected


@pytest.mark.parametrize(
    "printed",
    ["ghcr.io/owner/api:latest", "none", "sha256:123", f"{OLD_IMAGE} and more", f"{OLD_IMAGE}\nnot found\n",
     "sha256:" + "A" * 64, "\x1b[2Jhidden"],
)  # fmt: skip
def test_anything_else_is_ignorance_and_not_absence(tmp_path: Path, printed: str) -> None:
    (tmp_path / "said").write_text(printed)
    with pytest.raises(DeployFailure) as failure:
        target(tmp_path, observe="cat said").observe(timeout_s=LIMIT_S)
    assert "\x1b" not in failure.value.found and len(failure.value.found) < 300


def test_output_without_end_is_ignorance_too(tmp_path: Path) -> None:
    with pytest.raises(DeployFailure, match="does not say what runs"):
        target(tmp_path, observe="head -c 20000000 /dev/zero").observe(timeout_s=LIMIT_S)


def test_an_observe_that_fails_is_ignorance_even_with_a_digest(tmp_path: Path) -> None:
    liar = target(tmp_path, observe=f"echo {OLD_IMAGE}; echo cluster unreachable >&2; exit 7")
    with pytest.raises(DeployFailure, match="observe ended with status 7") as failure:
        liar.observe(timeout_s=LIMIT_S)
    assert failure.value.found == "cluster unreachable"


def test_without_observe_nothing_is_claimed(tmp_path: Path) -> None:
    assert target(tmp_path).observe(timeout_s=LIMIT_S) == Unobservable()
    assert not target(tmp_path).holds(OLD_IMAGE, timeout_s=LIMIT_S)


def test_an_apply_that_hangs_is_ended_with_everything_that_it_started(tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(DeployFailure, match="ran out of time"):
        target(tmp_path, apply="sleep 300 & echo $! > child; wait").place(UPDATE, timeout_s=0.5)
    assert time.monotonic() - began < 20
    assert not Path("/proc", (tmp_path / "child").read_text().strip(), "exe").exists()


def test_an_apply_that_outlives_a_killed_immutag_is_waited_for(tmp_path: Path) -> None:
    """Otherwise the older one could win. What it leaves running behind is not waited for."""
    script = tmp_path / "apply"
    script.write_text(
        "#!/bin/sh\nset -eu\n"
        "if [ ! -e began ]; then touch began; setsid sleep 300 & echo $! > daemon; sleep 1; fi\n"
        'echo "$IMMUTAG_IMAGE_SHA" >> applied\n'
    )
    script.chmod(0o755)
    code = (
        "import sys; sys.path.insert(0, '.'); from tests.real.test_command_target import *\n"
        "CommandTarget(PRODUCTION, apply=('./apply',), observe=(), cwd=Path(sys.argv[1]))"
        ".place(UPDATE, timeout_s=LIMIT_S)"
    )
    killed = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT)
    end = time.monotonic() + LIMIT_S
    while not (tmp_path / "daemon").exists() and time.monotonic() < end:
        time.sleep(0.01)  # between two looks; the bound is LIMIT_S
    killed.kill()
    killed.wait()
    assert not (tmp_path / "applied").exists()
    try:
        again = CommandTarget(PRODUCTION, apply=("./apply",), observe=(), cwd=tmp_path)
        again.restore(UPDATE, timeout_s=LIMIT_S)
        assert (tmp_path / "applied").read_text().split() == [str(NEW), str(OLD)]
    finally:
        os.kill(int((tmp_path / "daemon").read_text()), signal.SIGKILL)


@pytest.mark.parametrize("apply", [("./missing",), ("./not-executable",)])
def test_a_program_that_cannot_be_started_is_a_matter_of_configuration(
    tmp_path: Path, apply: tuple[str, ...]
) -> None:
    (tmp_path / "not-executable").write_text("#!/bin/sh\n")
    broken = CommandTarget(PRODUCTION, apply=apply, observe=(), cwd=tmp_path)
    with pytest.raises(ConfigInvalid, match="cannot be started") as failure:
        broken.place(UPDATE, timeout_s=LIMIT_S)
    assert "[environments.production]" in failure.value.remedy
