"""A build's folder: one process's at a time, found again when finished, and gone when not needed."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from immutag.build.workspace import BuiltLayout, Workspace
from immutag.core.errors import ConfigInvalid
from immutag.core.frozen import replace
from immutag.core.values import GitSha
from tests.parts.images import add_image, descriptor, finish

SHA, OTHER = GitSha("a" * 40), GitSha("b" * 40)


@pytest.fixture
def builds(tmp_path: Path) -> Path:
    return tmp_path / "state" / "builds"


def _finish(workspace: Workspace, content: bytes = b"layer") -> BuiltLayout:
    root = add_image(workspace.layout, content)
    finish(workspace.layout, root)
    workspace.context.mkdir()
    workspace.log.write_text("the whole output\n")
    built = BuiltLayout(descriptor(root), "buildah", 1234, "linux/amd64")
    workspace.finish(built)
    return built


def _folders(builds: Path) -> list[Path]:
    return sorted(builds.glob("*/*/"))


def test_an_unfinished_build_leaves_only_its_log(builds: Path) -> None:
    with Workspace.open(builds, SHA) as workspace:
        assert workspace.finished("") is None
        workspace.context.mkdir()
        workspace.log.write_text("it failed\n")
    assert list(builds.iterdir()) == []
    assert workspace.log.read_text() == "it failed\n"
    assert workspace.log.parent == builds.parent / "logs"


def test_a_finished_build_is_found_again(builds: Path) -> None:
    with Workspace.open(builds, SHA) as workspace:
        built = _finish(workspace)
        assert workspace.finished("") == built
    with Workspace.open(builds, SHA) as again:
        assert again.finished("") == built
        assert again.layout == workspace.layout
        assert not again.context.exists()
        again.discard()
        assert again.finished("") is None
    with Workspace.open(builds, SHA) as anew:
        assert anew.finished("") is None


def test_what_was_built_by_another_recipe_is_not_what_is_asked_for(builds: Path) -> None:
    with Workspace.open(builds, SHA) as workspace:
        workspace.finish(replace(_finish(workspace), recipe="one"))
    with Workspace.open(builds, SHA) as again:
        assert again.finished("other") is None
        assert not again.layout.exists()
    assert _folders(builds) == []


def test_a_killed_process_leaves_its_finished_build_to_the_next(builds: Path) -> None:
    code = f"""
import os, signal
from pathlib import Path
from tests.unit.test_workspace import *
from tests.unit.test_workspace import _finish
_finish(Workspace.open(Path({str(builds)!r}), SHA))
os.kill(os.getpid(), signal.SIGKILL)
"""
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == -signal.SIGKILL
    with Workspace.open(builds, SHA) as workspace:
        found = workspace.finished("")
    assert found is not None
    assert (found.builder, found.duration_ms, found.platform) == ("buildah", 1234, "linux/amd64")


@pytest.mark.parametrize("damage", ["blob", "manifest", "build.json", "index.json"])
def test_a_torn_layout_is_built_again(builds: Path, damage: str) -> None:
    with Workspace.open(builds, SHA) as workspace:
        built = _finish(workspace)
    blobs = workspace.layout / "blobs" / "sha256"
    manifest = blobs / built.root.digest.hex
    torn = {
        "blob": next(blob for blob in blobs.iterdir() if blob.read_bytes() == b"layer"),
        "manifest": manifest,
        "build.json": workspace.layout.parent / "build.json",
        "index.json": workspace.layout / "index.json",
    }[damage]
    torn.write_bytes(torn.read_bytes()[:-1] + b"\0")
    with Workspace.open(builds, SHA) as again:
        assert again.finished("") is None
        assert _folders(builds) == [again.layout.parent]


def test_a_layout_that_is_another_than_was_finished_is_not_taken(builds: Path) -> None:
    with Workspace.open(builds, SHA) as workspace:
        _finish(workspace)
    finish(workspace.layout, add_image(workspace.layout, b"other"))
    with Workspace.open(builds, SHA) as again:
        assert again.finished("") is None


def test_a_folder_in_use_is_nobody_elses(builds: Path) -> None:
    with Workspace.open(builds, SHA) as first:
        _finish(first)
        with Workspace.open(builds, SHA) as second:
            assert second.layout != first.layout
            assert second.finished("") is None
        assert first.layout.exists()


def test_orphans_go_but_another_commits_finished_build_waits_a_week(builds: Path) -> None:
    (builds / str(SHA) / "orphan" / "context").mkdir(parents=True)
    (builds / str(OTHER) / "orphan").mkdir(parents=True)
    with Workspace.open(builds, OTHER) as other:
        _finish(other)
    with Workspace.open(builds, SHA) as workspace:
        assert _folders(builds) == sorted([workspace.layout.parent, other.layout.parent])
    week_ago = time.time() - 8 * 24 * 3600
    os.utime(other.layout.parent / "build.json", (week_ago, week_ago))
    with Workspace.open(builds, SHA) as workspace:
        assert _folders(builds) == [workspace.layout.parent]


def test_the_last_logs_are_kept_and_no_more(builds: Path) -> None:
    logs = []
    for _ in range(25):
        with Workspace.open(builds, SHA) as workspace:
            workspace.log.write_text("output\n")
            logs.append(workspace.log)
    assert 19 <= len(list(logs[-1].parent.iterdir())) <= 21
    assert logs[-1].exists()


@pytest.mark.parametrize("taken", ["state", "state/builds", "state/logs", f"state/builds/{SHA}"])
def test_a_place_that_cannot_be_made_is_refused(builds: Path, tmp_path: Path, taken: str) -> None:
    (tmp_path / taken).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / taken).write_text("a file")
    with pytest.raises(ConfigInvalid, match="no place to build in"):
        Workspace.open(builds, SHA)


def test_many_at_once_never_share_a_folder(builds: Path) -> None:
    def use(number: int) -> bool:
        sound = True
        for _ in range(15):
            with Workspace.open(builds, SHA) as workspace:
                mine = workspace.layout.parent / "mine"
                sound = sound and not mine.exists()
                mine.write_text(str(number))
                sound = sound and mine.read_text() == str(number)
        return sound

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(use, range(8)))
    assert _folders(builds) == []
