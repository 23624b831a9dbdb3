"""Start-up is guarded by what is imported, not by a timer: clocks on shared machines say nothing."""

import subprocess
import sys
from pathlib import Path

import pytest

_RUN = """\
import sys
from immutag.cli import main
try:
    main({arguments!r})
except SystemExit:
    pass
print(*sys.modules, file=sys.stderr)
"""

_LIBRARIES = {"rich", "pycurl._pycurl", "prometheus_client", "shtab", "cryptography"}
HEAVY = _LIBRARIES | {"asyncio", "http.client", "ssl"}
"""Libraries of tens of milliseconds: only where a command is about to use them."""

READING = HEAVY | {"subprocess", "difflib", "shutil", "logging", "importlib.metadata", "unittest", "xml"}
LIGHT = READING | {"dataclasses", "inspect", "pathlib", "json", "tomllib", "sqlite3", "threading", "socket"}

CONFIGURATION = """\
[image]
repository = "127.0.0.1:9/api"
[environments.production]
target = "podman"
"""


def imported(arguments: list[str], cwd: Path) -> set[str]:
    """Every module that the command imported."""
    done = subprocess.run(
        [sys.executable, "-c", _RUN.format(arguments=arguments)],
        cwd=cwd, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return set(done.stderr.splitlines()[-1].split())


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["help", "exit-codes"]])
def test_explaining_itself_imports_next_to_nothing(arguments: list[str], tmp_path: Path) -> None:
    modules = imported(arguments, tmp_path)
    assert "argparse" in modules
    assert not modules & LIGHT
    ours = {name for name in modules if name.startswith("immutag.") and not name.startswith("immutag.cli")}
    assert ours == {"immutag._version", "immutag.core", "immutag.core.errors"}


@pytest.mark.parametrize("arguments", [["status"], ["--help"], ["deploy"]])
def test_no_translation_is_looked_for(arguments: list[str], tmp_path: Path) -> None:
    looking = "import gettext; gettext.find = lambda *_, **__: print('looked', file=sys.stderr)\n"
    code = "import sys\n" + looking + _RUN.format(arguments=arguments)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert "looked" not in done.stderr.splitlines()


def test_help_of_one_command_imports_that_command_only(tmp_path: Path) -> None:
    modules = imported(["deploy", "--help"], tmp_path)
    assert "immutag.cli.deploy" in modules
    assert not modules & {
        "immutag.cli.release",
        "immutag.cli.rollback",
        "immutag.project",
        "immutag.settings",
    }
    assert not modules & READING


@pytest.mark.parametrize("arguments", [["status"], ["history"], ["ledger", "head"], ["status", "--json"]])
def test_reading_the_ledger_imports_no_heavy_library(arguments: list[str], tmp_path: Path) -> None:
    (tmp_path / "immutag.toml").write_text(CONFIGURATION)
    modules = imported(arguments, tmp_path)
    assert "sqlite3" in modules
    assert not modules & READING
    packages = (
        "immutag.build",
        "immutag.oci",
        "immutag.deploy",
        "immutag.trust",
        "immutag.git",
        "immutag.metrics",
    )
    assert not {name for name in modules if name.startswith(packages)}


def test_verifying_a_reference_opens_no_ledger(tmp_path: Path) -> None:
    (tmp_path / "immutag.toml").write_text(CONFIGURATION)
    reference = f"127.0.0.1:9/api@sha256:{'0' * 64}"
    modules = imported(["verify", reference], tmp_path)
    assert "immutag.trust.verifier" in modules
    assert not modules & {"sqlite3", "dataclasses", "tempfile"}
    assert "sqlite3" in imported(["verify", "--explain", "production"], tmp_path)


def test_the_guard_sees_what_it_guards_against(tmp_path: Path) -> None:
    (tmp_path / "immutag.toml").write_text(CONFIGURATION)
    assert "shtab" in imported(["completion", "bash"], tmp_path)
    assert "pathlib" in imported(["config", "show"], tmp_path)
