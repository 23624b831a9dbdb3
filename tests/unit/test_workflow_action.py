"""The action: its inputs become one command line, and what it says to GitHub cannot say anything else."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from immutag.cli.action import signing_key
from immutag.cli.metadata import parse
from immutag.core.errors import ConfigInvalid, MissingSha
from immutag.workflows import github
from immutag.workflows.inputs import PREFIX, argv, read

ROOT = Path(__file__).parents[2]
SHA = "0123456789abcdef0123456789abcdef01234567"
DIGEST = "sha256:" + "ab" * 32
BUILD = {
    "phase": "build", "image_sha": SHA, "image_digest": DIGEST, "repository": "ghcr.io/owner/api",
    "repository_type": "canonical", "signature_status": "unverified", "signature_reason": "missing",
    "digest_verification": "ok",
}  # fmt: skip


# --- inputs


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        ({"command": "release"}, ["--json", "-C", ".", "release"]),
        (
            {"command": "release", "directory": "api", "sha": SHA, "metadata-file": "m.json", "reason": "x"},
            ["--json", "-C", "api", "release", f"--sha={SHA}", "--metadata-file=m.json"],
        ),
        (
            {"command": "deploy", "environment": "a", "sha": SHA, "automatic": "true", "reason": "-x"},
            ["--json", "-C", ".", "deploy", f"--sha={SHA}", "--environment=a", "--reason=-x", "--automatic"],
        ),
        (
            {"command": "deploy", "environment": "production", "automatic": "false", "metadata-file": "m"},
            ["--json", "-C", ".", "deploy", "--metadata-file=m", "--environment=production"],
        ),
        (
            {"command": "rollback", "sha": SHA, "reason": "x", "allow-unverified": "true"},
            ["--json", "-C", ".", "rollback", f"--sha={SHA}", "--reason=x", "--allow-unverified"],
        ),
        ({"command": "deploy"}, ["--json", "-C", ".", "deploy", "--sha="]),
        ({"command": "rollback"}, ["--json", "-C", ".", "rollback", "--sha="]),
    ],
)  # fmt: skip
def test_inputs_become_one_command_line(inputs: dict[str, str], expected: list[str]) -> None:
    assert argv(inputs) == expected


@pytest.mark.parametrize(
    "inputs", [{}, {"command": "shell"}, {"command": "deploy", "automatic": "yes"}, {"command": "deploy\nx"}]
)
def test_an_input_that_is_none_is_refused(inputs: dict[str, str]) -> None:
    with pytest.raises(ConfigInvalid):
        argv(inputs)


def test_the_actions_variables_are_its_inputs() -> None:
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    for step in action["runs"]["steps"]:
        for variable, value in step["env"].items():
            if variable.startswith(PREFIX) and value.startswith("$"):
                (name,) = read({variable: "x"})
                assert value == f"${{{{ inputs.{name} }}}}"
                assert name in action["inputs"]


# --- what is said


@given(st.dictionaries(st.sampled_from(sorted(BUILD)), st.text(max_size=30)))
def test_no_value_can_begin_another_output(changes: dict[str, str]) -> None:
    lines = github.outputs({**BUILD, **changes}).split("\n")
    names = ["image", "digest", "sha", "repository-type", "signature-status"]
    assert [line.partition("=")[0] for line in lines[:-1]] in (names, names[1:])
    assert lines[-1] == ""
    assert len(github.outputs({**BUILD, **changes}).splitlines()) == len(lines) - 1


def test_the_outputs_are_the_identity() -> None:
    assert github.outputs(BUILD) == (
        f"image=ghcr.io/owner/api@{DIGEST}\ndigest={DIGEST}\nsha={SHA}\n"
        "repository-type=canonical\nsignature-status=unverified\n"
    )


@given(st.text(max_size=40), st.text(max_size=40))
def test_an_annotation_is_one_line_that_reads_back(code: str, message: str) -> None:
    text = github.annotation({"code": code, "message": message, "found": ""})
    assert not re.search(r"[\r\n]", text)
    properties, _, data = text.removeprefix("::error ").partition("::")
    assert "," not in properties
    assert _unescaped(properties.removeprefix("title=")) == code
    assert _unescaped(data) == message


def _unescaped(text: str) -> str:
    for escape, character in (("%2C", ","), ("%3A", ":"), ("%0A", "\n"), ("%0D", "\r"), ("%25", "%")):
        text = text.replace(escape, character)
    return text


@given(st.text(max_size=60))
def test_a_summary_holds_no_markup_of_others(reason: str) -> None:
    text = github.summary({"phase": "rollback", "reason": f"x{reason}", "image_sha": SHA})
    plain = github.summary({"phase": "rollback", "reason": "x", "image_sha": SHA})
    kept = re.sub(r"&#\d+;", "", text)
    for markup in "<>[]()`*_|#!~\\$@:.":
        assert kept.count(markup) == plain.count(markup)
    assert len(text.splitlines()) == len(plain.splitlines())


def test_a_summary_shows_what_a_person_looks_for() -> None:
    text = re.sub(r"&#(\d+);", lambda found: chr(int(found[1])), github.summary(BUILD))
    assert text.startswith("### Released\n\n| | |\n|---|---|\n")
    for shown in (
        f"| commit | {SHA} |",
        f"| image | ghcr.io/owner/api@{DIGEST} |",
        "| why unverified | missing |",
    ):
        assert shown in text
    failed = github.failure_summary({"code": "MISSING_TAG", "message": "no", "next": "immutag adopt"})
    assert "| next | immutag adopt |" in failed


# --- the step


def step(env: Mapping[str, str], cwd: Path, *python: str) -> subprocess.CompletedProcess[str]:
    """The action's step, as the runner starts it."""
    own = {"GITHUB_OUTPUT": str(cwd / "output"), "GITHUB_STEP_SUMMARY": str(cwd / "summary")}
    return subprocess.run(
        [sys.executable, *python, "-m", "immutag", "workflows", "run"],
        env={**os.environ, "GITHUB_ACTIONS": "true", **own, **env}, cwd=cwd,
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_a_check_needs_nothing_that_is_installed(tmp_path: Path) -> None:
    env = {
        "IMMUTAG_INPUT_COMMAND": "check",
        "IMMUTAG_INPUT_SHA": f" {SHA}\n",
        "PYTHONPATH": str(ROOT / "src"),
    }
    done = step(env, tmp_path, "-S")
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "output").read_text() == f"sha={SHA}\n"


@pytest.mark.parametrize(
    ("sha", "status", "code"),
    [
        ("", 10, "MISSING_SHA"), ("latest", 14, "POLICY_VIOLATION"), (SHA[:12], 14, "POLICY_VIOLATION"),
        (SHA.upper(), 10, "MISSING_SHA"), (f"{SHA}\nsha={SHA}", 14, "POLICY_VIOLATION"),
        ("::set-output name=sha::x", 14, "POLICY_VIOLATION"), ("$(id)", 14, "POLICY_VIOLATION"),
    ],
)  # fmt: skip
def test_only_a_full_sha_passes_the_check(sha: str, status: int, code: str, tmp_path: Path) -> None:
    done = step({"IMMUTAG_INPUT_COMMAND": "check", "IMMUTAG_INPUT_SHA": sha}, tmp_path)
    assert done.returncode == status
    assert not (tmp_path / "output").exists()
    assert done.stdout.rstrip("\n").split("\n")[-1].startswith(f"::error title={code}::")
    assert code.partition("_")[0] in (tmp_path / "summary").read_text()


@pytest.mark.parametrize("command", ["release", "deploy", "rollback"])
def test_a_failure_is_the_commands_own_and_nothing_else_printed_is_a_command(
    command: str, tmp_path: Path
) -> None:
    done = step({"IMMUTAG_INPUT_COMMAND": command, "IMMUTAG_INPUT_ENVIRONMENT": "production"}, tmp_path)
    assert done.returncode == (22 if command == "release" else 10)
    lines = done.stdout.rstrip("\n").split("\n")
    found = re.fullmatch(r"::stop-commands::([0-9a-f]{32})", lines[0])
    assert found
    assert lines.index(f"::{found[1]}::") == len(lines) - 2, "commands are heard again at the end only"
    assert lines[-1].startswith("::error ")


def test_elsewhere_than_on_github_the_result_is_all(tmp_path: Path) -> None:
    env = {"IMMUTAG_INPUT_COMMAND": "check", "IMMUTAG_INPUT_SHA": SHA, "GITHUB_ACTIONS": ""}
    done = step(env, tmp_path)
    assert json.loads(done.stdout) == {"image_sha": SHA}


def test_a_key_is_a_file_while_the_command_runs_and_no_variable(tmp_path: Path) -> None:
    environ = {"IMMUTAG_INPUT_KEY": "-----BEGIN X-----\n", "RUNNER_TEMP": str(tmp_path)}
    with signing_key(environ):
        file = Path(environ["IMMUTAG_TRUST_KEY"])
        assert (file.read_text(), file.stat().st_mode & 0o777) == ("-----BEGIN X-----\n", 0o600)
        assert "BEGIN X" not in str(environ)
    assert list(tmp_path.iterdir()) == []
    without = {"IMMUTAG_INPUT_KEY": "", "RUNNER_TEMP": str(tmp_path)}
    with signing_key(without):
        assert without == {"RUNNER_TEMP": str(tmp_path)}


# --- the metadata file


def test_a_metadata_file_is_the_record_of_a_finished_release() -> None:
    found = parse(json.dumps(BUILD).encode())
    assert (str(found.sha), str(found.image)) == (SHA, f"ghcr.io/owner/api@{DIGEST}")


@pytest.mark.parametrize(
    "content",
    [
        b"", b"[]", b"{", b"{}", b'{"a": 1, "a": 2}', json.dumps({**BUILD, "phase": "deploy"}).encode(),
        *(json.dumps({**BUILD, name: value}).encode()
          for name in ("image_sha", "image_digest", "repository") for value in (None, 1, "", "latest")),
        b"[" * 100_000,
    ],
)  # fmt: skip
def test_anything_else_is_no_sha(content: bytes) -> None:
    with pytest.raises(MissingSha):
        parse(content)


@given(st.binary(max_size=200) | st.builds(lambda d: json.dumps(d).encode(), st.dictionaries(
    st.sampled_from(sorted(BUILD)), st.text(max_size=50) | st.integers() | st.none())))  # fmt: skip
def test_no_bytes_raise_anything_else(content: bytes) -> None:
    try:
        parse(content)
    except MissingSha:
        return
