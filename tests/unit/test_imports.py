"""What a rollback can reach: nothing that builds, started as a command or imported by a program."""

import subprocess
import sys
from pathlib import Path

import pytest

_CONFIGURATION = """\
[image]
repository = "127.0.0.1:9/api"
[environments.production]
target = "podman"
"""
_COMMAND = """\
import sys
from immutag.cli import main
try:
    main(sys.argv[1:])
except SystemExit:
    pass
"""


def imported(program: str, *arguments: str, cwd: Path) -> set[str]:
    """Every module of a fresh interpreter that ran this program."""
    code = f"{program}\nimport sys; print(*sys.modules, file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=cwd, capture_output=True, text=True, check=True
    )
    return set(done.stderr.splitlines()[-1].split())


def builders(modules: set[str]) -> set[str]:
    return {name for name in modules if name.startswith("immutag.build")}


@pytest.mark.parametrize("module", ["rollback", "deploy", "bring_up", "deployer", "take_over", "candidates"])
def test_what_rolls_back_imports_nothing_that_builds(module: str, tmp_path: Path) -> None:
    modules = imported(f"import immutag.usecases.{module}", cwd=tmp_path)
    assert f"immutag.usecases.{module}" in modules
    assert not builders(modules)


@pytest.mark.parametrize("sha", [(), ("--sha", "a" * 40)], ids=["candidates", "an unknown SHA"])
def test_the_command_imports_nothing_that_builds(sha: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "immutag.toml").write_text(_CONFIGURATION)
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    modules = imported(_COMMAND, "rollback", "--environment", "production", *sha, cwd=tmp_path)
    assert "immutag.usecases.candidates" in modules or "immutag.usecases.rollback" in modules
    assert not builders(modules)


def test_the_guard_sees_what_it_guards_against(tmp_path: Path) -> None:
    assert builders(imported("import immutag.usecases.release", cwd=tmp_path))
