"""Builds that fail, hang or are interrupted: what a person is told, and that nothing of them is left."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from immutag.build import Builder
from immutag.build.running import last_lines
from immutag.core.errors import BuildFailure, ConfigInvalid
from tests.parts.builders import Bench, Progress, bench, build_request

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


@pytest.fixture(params=["buildah", "podman", "docker"])
def built_by(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return bench(request.param, request, monkeypatch)


@pytest.fixture(params=["buildah", "podman"])
def daemonless(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return bench(request.param, request, monkeypatch)


def _runs(mark: str) -> bool:
    """Whether a process with this argument runs anywhere, at the latest in three seconds no more."""
    deadline = time.monotonic() + 3
    while time.monotonic() < deadline:
        commands = [path for path in Path("/proc").glob("[0-9]*/cmdline") if _holds(path, mark)]
        if not commands:
            return False
        time.sleep(0.02)
    return True


def _holds(path: Path, mark: str) -> bool:
    try:
        return mark.encode() in path.read_bytes().split(b"\0")
    except OSError:
        return False


def _build(
    builder: Builder, folder: Path, dockerfile: str, progress: Progress, timeout_s: float = 60
) -> None:
    work = folder / "work"
    work.mkdir()
    builder.build(
        build_request(folder, dockerfile, timeout_s=timeout_s),
        layout=work / "layout", log=work / "log", report=progress,
    )  # fmt: skip


def test_a_failed_step_is_shown_and_its_log_kept(built_by: Bench, tmp_path: Path) -> None:
    before = built_by.left()
    step = r"RUN for n in $(seq 100); do echo line $n; done; printf '\033[31mred\033[0m\007\n'; exit 7"
    progress = Progress()
    with pytest.raises(BuildFailure) as failed:
        _build(built_by.builder, tmp_path, f"{step}\n", progress)
    found = failed.value.found
    assert "line 100" in found
    assert "line 1\n" not in found
    assert "\x1b" not in found
    assert "\x07" not in found
    assert len(found.splitlines()) <= 22
    log = tmp_path / "work" / "log"
    assert str(log) in failed.value.remedy
    assert b"line 1\n" in log.read_bytes().replace(b"\r", b"")
    assert any("line 1" in line for line in progress.lines)
    assert built_by.left() == before


def test_a_build_out_of_time_is_ended_with_all_that_it_started(built_by: Bench, tmp_path: Path) -> None:
    before = built_by.left()
    mark = f"61.{os.getpid()}"
    with pytest.raises(BuildFailure, match="out of time") as failed:
        _build(built_by.builder, tmp_path, f"RUN echo begun; sleep {mark}\n", Progress(), timeout_s=3)
    assert failed.value.expected == "an end within 3 s"
    assert "begun" in failed.value.found
    assert not _runs(mark)
    assert built_by.left() == before


@pytest.mark.parametrize("when", ["begun", "COPY busybox"])
def test_an_interrupted_build_leaves_nothing(daemonless: Bench, tmp_path: Path, when: str) -> None:
    """While a step runs, and while files are copied, where buildah cannot clean up itself."""
    mark = f"62.{os.getpid()}"
    with pytest.raises(KeyboardInterrupt):
        _build(daemonless.builder, tmp_path, f"RUN echo begun; sleep {mark}\n", Progress(stop_at=when))
    assert not _runs(mark)
    assert daemonless.left() == []


def test_an_interrupted_docker_build_leaves_nothing(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    docker, mark = bench("docker", request, monkeypatch), f"63.{os.getpid()}"
    with pytest.raises(KeyboardInterrupt):
        _build(docker.builder, tmp_path, f"RUN echo be''gun; sleep {mark}\n", Progress(stop_at=" begun"))
    assert not _runs(mark)
    assert docker.left() == []


def test_ctrl_c_in_a_terminal_ends_the_whole_build(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A real SIGINT to a real process that builds."""
    buildah, mark = bench("buildah", request, monkeypatch), f"64.{os.getpid()}"
    code = f"""
from pathlib import Path
from immutag.build.buildah import Buildah
from tests.parts.builders import Progress, build_request
folder = Path({str(tmp_path)!r})
class Loud(Progress):
    def output(self, line): print(line, flush=True)
(folder / "work").mkdir()
Buildah().build(build_request(folder, "RUN echo be''gun; sleep {mark}\\n"),
    layout=folder / "work" / "layout", log=folder / "work" / "log", report=Loud())
"""
    building = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE,
                                stderr=subprocess.DEVNULL, text=True)  # fmt: skip
    assert building.stdout
    with building.stdout:
        assert any(line.strip() == "begun" for line in iter(building.stdout.readline, ""))
        building.send_signal(signal.SIGINT)
        assert building.wait(timeout=20) == -signal.SIGINT
    assert not _runs(mark)
    assert buildah.left() == []


def test_a_builder_that_writes_no_layout_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says that all is well, and gives nothing."""
    (tmp_path / "bin").mkdir()
    liar = tmp_path / "bin" / "buildah"
    liar.write_text("#!/bin/sh\necho done\n")
    liar.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    from immutag.build.buildah import Buildah

    with pytest.raises(BuildFailure):
        _build(Buildah(), tmp_path, "", Progress())


def test_a_missing_builder_is_told_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from immutag.build.buildah import Buildah

    (tmp_path / "work").mkdir()
    wanted = build_request(tmp_path, "")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigInvalid) as refused:
        Buildah("podman").build(
            wanted, layout=tmp_path / "work" / "layout", log=tmp_path / "work" / "log", report=Progress()
        )
    assert refused.value.remedy == "apt-get install podman"


def test_the_last_lines_of_a_log_are_bounded(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"\n".join(b"%d " % n + b"x" * 1000 for n in range(1000)) + b"\r50%\r100%\n\xff\x00\n\n")
    lines = last_lines(log).split("\n")
    assert len(lines) == 20
    assert lines[-3:] == ["50%", "100%", "��"]
    assert all(len(line) <= 201 for line in lines)
