"""The command line as a process: statuses, the form of errors, global options on both sides, signals."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from immutag.cli.commands import COMMANDS
from immutag.cli.help import exit_codes
from immutag.cli.parser import grammar
from immutag.core.errors import KINDS, ConfigInvalid

SHA = "0123456789abcdef0123456789abcdef01234567"
CONFIGURATION = """\
[image]
repository = "127.0.0.1:9/api"
[environments.production]
target = "command"
apply = ["true"]
"""


def immutag(
    *arguments: str, cwd: Path, env: Mapping[str, str] | None = None, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), cwd=cwd, env={**os.environ, **(env or {})}, input=stdin,
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-c", "import sys; from immutag.cli import main; sys.exit(main())", *arguments]


def error_of(finished: subprocess.CompletedProcess[str]) -> dict[str, str]:
    """The error document, which must be all of standard output."""
    document = json.loads(finished.stdout)
    assert set(document) == {"error"}
    error = document["error"]
    assert set(error) == {"code", "message", "expected", "found", "next"}
    assert "Traceback" not in finished.stderr
    return dict(error)


@pytest.fixture
def configured(tmp_path: Path) -> Path:
    (tmp_path / "immutag.toml").write_text(CONFIGURATION)
    return tmp_path


# --- without a configuration


@pytest.mark.parametrize(
    "arguments",
    [
        ["--version"], ["--help"], ["help"], ["help", "exit-codes"], ["help", "deploy"], ["schema"],
        ["completion", "bash"], ["completion", "zsh"], *([name, "--help"] for name in COMMANDS),
    ],
)  # fmt: skip
def test_it_explains_itself_with_no_configuration(arguments: list[str], tmp_path: Path) -> None:
    done = immutag(*arguments, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip()
    assert "None" not in done.stdout.split()


def test_no_name_is_broken_where_help_begins_a_new_line(tmp_path: Path) -> None:
    names = immutag("schema", cwd=tmp_path).stdout.split()
    for columns in ("60", "80", "100"):
        told = immutag("schema", "--help", cwd=tmp_path, env={"COLUMNS": columns}).stdout
        assert all(name in told for name in names)


def test_the_version_is_a_document_for_programs(tmp_path: Path) -> None:
    assert set(json.loads(immutag("--json", "--version", cwd=tmp_path).stdout)) == {"version"}


def test_every_exit_status_is_explained(tmp_path: Path) -> None:
    text = immutag("help", "exit-codes", cwd=tmp_path).stdout
    for kind in KINDS:
        assert re.search(rf"^ *{kind.exit_status}  {kind.code} ", text, re.MULTILINE)
    assert [status for status, _, _ in exit_codes()][:3] == [0, 1, 2]
    assert len({status for status, _, _ in exit_codes()}) == len(exit_codes())
    assert "cosign" in text


def test_every_option_with_a_variable_says_so(tmp_path: Path) -> None:
    for name, variable in (("status", "IMMUTAG_CONFIG"), ("status", "NO_COLOR"), ("rollback", "IMAGE_SHA")):
        assert variable in immutag(name, "--help", cwd=tmp_path).stdout


def test_a_completion_script_knows_every_command_and_is_a_script(tmp_path: Path) -> None:
    script = immutag("completion", "bash", cwd=tmp_path).stdout
    assert all(name in script for name in COMMANDS)
    assert "--acknowledge-irreversible" in script
    checked = subprocess.run(["bash", "-n"], input=script, text=True, check=False, capture_output=True)
    assert (checked.returncode, checked.stderr) == (0, "")


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - {"init", "doctor", "help", "schema", "completion"}))
def test_without_a_configuration_it_says_init(name: str, tmp_path: Path) -> None:
    rest = {
        "deploy": ["--sha", SHA, "--env", "production"], "rollback": ["--env", "production"],
        "hold": ["set", "--env", "production", "--reason", "x"], "show": [SHA], "verify": [SHA],
        "attestations": [SHA], "ledger": ["head"], "config": ["show"], "policy": ["status"],
        "adopt": [SHA], "sign": [SHA], "sbom": ["show", SHA], "retention": ["keep"], "workflows": ["init"],
    }  # fmt: skip
    done = immutag(name, *rest.get(name, []), "--json", cwd=tmp_path)
    assert done.returncode == 22
    assert error_of(done)["code"] == "CONFIG_INVALID"
    assert error_of(done)["next"] == "immutag init"


# --- usage


@pytest.mark.parametrize(
    "arguments",
    [
        [], ["--frobnicate"], ["statsu"], ["deploy", "--sha", SHA], ["rollback"], ["hold"], ["hold", "lift"],
        ["hold", "set", "--env", "production"], ["ledger"], ["show"], ["schema", "nothing"],
        ["deploy", "--sha", SHA, "--sha", SHA, "--env", "production"],
        ["deploy", "--sha", SHA, "--env", "a", "--environment", "b"],
        ["rollback", "--sha", SHA, "--sha", SHA, "--env", "production"],
        ["deploy", "--sha", SHA, "--env", "production", "--allow-unverified"], ["policy"],
        ["policy", "simulate", "--last", "0"], ["policy", "render", "opa"],
        ["deploy", "--sh", SHA, "--env", "production"], ["status", "-q", "-v"], ["history", "--limit", "0"],
    ],
)  # fmt: skip
def test_a_wrong_command_line_is_a_usage_error_in_the_form_asked_for(
    arguments: list[str], configured: Path
) -> None:
    in_words = immutag(*arguments, cwd=configured)
    assert (in_words.returncode, in_words.stdout) == (2, "")
    assert in_words.stderr.startswith("immutag: USAGE: ")
    in_json = immutag(*arguments, "--json", cwd=configured)
    assert in_json.returncode == 2
    assert error_of(in_json)["code"] == "USAGE"
    assert error_of(in_json)["next"].endswith("--help")


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [(["doctor", "--prob"], "immutag doctor"), (["hold", "set", "--envi", "x"], "immutag hold set"),
     (["--jso", "status"], "immutag")],
)  # fmt: skip
def test_an_unknown_option_is_answered_with_those_of_its_command(
    arguments: list[str], asked: str, tmp_path: Path
) -> None:
    told = immutag(*arguments, cwd=tmp_path)
    assert told.returncode == 2
    assert told.stderr.endswith(f"  next      {asked} --help\n")
    assert f"  expected  {asked} [-h]" in told.stderr


def test_the_history_of_an_environment_that_nobody_knows_is_no_empty_one(configured: Path) -> None:
    assert immutag("history", "--env", "production", cwd=configured).returncode == 0
    mistyped = immutag("history", "--env", "prodcution", "--json", cwd=configured)
    assert mistyped.returncode == ConfigInvalid.exit_status
    assert error_of(mistyped)["expected"] == "production"


@pytest.mark.parametrize(
    ("arguments", "remedy"),
    [
        (["deploy", "--env", "production", "--metadata-file", "immutag.toml"], "immutag deploy --sha SHA"),
        (["ledger", "check-proof", "none", "--key", "cosign.pub"], "immutag ledger prove SHA > FILE"),
        (["ledger", "verify", "--against", "oci:api"], "immutag show SHA, which prints a release's image"),
    ],
)
def test_a_file_or_image_that_is_no_such_thing_is_told_as_what_it_was_to_be(
    arguments: list[str], remedy: str, configured: Path
) -> None:
    assert error_of(immutag("--json", *arguments, cwd=configured))["next"] == remedy


def test_a_mistyped_command_is_answered_with_the_nearest(tmp_path: Path) -> None:
    assert "the nearest is status" in immutag("statsu", cwd=tmp_path).stderr


# --- what selects a release


@pytest.mark.parametrize(
    ("sha", "status"),
    [
        ("", 10), ("   ", 10), (SHA[:-1], 10), (SHA + "0", 10), (SHA.upper(), 10), (SHA + SHA[:24], 10),
        ("latest", 14), ("main", 14), ("v1.2.3", 14), (SHA[:12], 14), (SHA[:7], 14), ("production~1", 14),
        (f"sha256:{SHA}{SHA[:24]}", 14), (f"127.0.0.1:9/api:{SHA}", 14), ("\x1b[31m", 14), ("--", 2),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["deploy", "rollback"])
def test_only_a_full_sha_selects_what_runs(name: str, sha: str, status: int, configured: Path) -> None:
    done = immutag(name, "--sha", sha, "--env", "production", "--json", cwd=configured)
    assert done.returncode == status
    assert "\x1b" not in done.stdout + done.stderr
    error_of(done)
    assert not (configured / ".immutag").exists()


def test_a_deployment_without_a_sha_is_refused(configured: Path) -> None:
    done = immutag("deploy", "--env", "production", "--json", cwd=configured)
    assert (done.returncode, error_of(done)["code"]) == (10, "MISSING_SHA")


def test_a_deployment_does_not_look_at_image_sha(configured: Path) -> None:
    done = immutag("deploy", "--env", "production", cwd=configured, env={"IMAGE_SHA": SHA})
    assert done.returncode == 10


def test_a_release_takes_a_full_sha_only(configured: Path) -> None:
    assert immutag("release", "--sha", "latest", cwd=configured).returncode == 14
    assert immutag("release", "--sha", "", cwd=configured).returncode == 10


@pytest.mark.parametrize(
    ("variable", "option", "status", "code"),
    [
        ("", None, 10, "MISSING_SHA"),
        ("latest", None, 14, "POLICY_VIOLATION"),
        (SHA, SHA[::-1], 10, "MISSING_SHA"),
        ("", SHA, 10, "MISSING_SHA"),
        (SHA, SHA, 13, "MISSING_TAG"),
        (f" {SHA}\n", None, 13, "MISSING_TAG"),
    ],
)
def test_a_rollback_takes_its_sha_from_one_place(
    variable: str, option: str | None, status: int, code: str, configured: Path
) -> None:
    given = [] if option is None else ["--sha", option]
    done = immutag(
        "rollback", "--env", "production", *given, "--json", cwd=configured, env={"IMAGE_SHA": variable}
    )
    assert (done.returncode, error_of(done)["code"]) == (status, code)


def test_a_rollback_without_a_sha_lists_candidates_and_changes_nothing(configured: Path) -> None:
    done = immutag("rollback", "--env", "production", cwd=configured)
    assert done.returncode == 0
    assert "no earlier release" in done.stdout
    document = json.loads(immutag("rollback", "--env", "production", "--json", cwd=configured).stdout)
    assert document == {"environment": "production", "candidates": []}
    assert json.loads(immutag("ledger", "head", cwd=configured).stdout)["size"] == 0


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("verify", "127.0.0.1:9/api:latest", "a tag, which may move: 127.0.0.1:9/api:latest"),
        ("verify", "v1.2.3", "v1.2.3"), ("show", "\x1b[31m", "\ufffd[31m"),
        ("attestations", "production@sha256:00", "production@sha256:00"),
        ("verify", f"127.0.0.1:9/api:1@sha256:{'0' * 64}", f"127.0.0.1:9/api:1@sha256:{'0' * 64}"),
    ],
)  # fmt: skip
def test_what_names_nothing_is_told_what_would(name: str, text: str, said: str, configured: Path) -> None:
    done = immutag(name, text, "--json", cwd=configured)
    error = error_of(done)
    assert (done.returncode, error["code"], error["found"]) == (10, "MISSING_SHA", said)
    assert "immutag.toml" not in error["next"]


@pytest.mark.parametrize("name", ["show", "verify", "attestations"])
def test_of_several_that_fail_each_has_its_error(name: str, configured: Path) -> None:
    """The exit status is of an error; with one alone the error is the command's own."""
    done = immutag(name, "f" * 40, "nothing", "--json", cwd=configured)
    found = json.loads(done.stdout)
    assert [(each["image"], each["error"]["code"]) for each in found] == [
        ("f" * 40, "MISSING_TAG"),
        ("nothing", "MISSING_SHA"),
    ]
    assert done.returncode == 10
    told = immutag(name, "f" * 40, "nothing", cwd=configured)
    assert (told.returncode, "MISSING_TAG" in told.stdout, "MISSING_SHA" in told.stdout) == (10, True, True)
    alone = immutag(name, "f" * 40, "--json", cwd=configured)
    assert (alone.returncode, error_of(alone)["code"]) == (13, "MISSING_TAG")


@pytest.mark.parametrize("name", ["show", "verify", "attestations", "sign"])
def test_an_empty_standard_input_is_a_mistake_of_who_wrote_it(name: str, configured: Path) -> None:
    done = immutag(name, "-", "--json", cwd=configured, stdin=" \n")
    assert (done.returncode, error_of(done)["message"]) == (2, "standard input names nothing")


# --- global options


@pytest.mark.parametrize(
    "arguments",
    [
        ["--json", "status"], ["status", "--json"], ["--json", "status", "production"],
        ["ledger", "--json", "verify"], ["ledger", "verify", "--json"], ["--json", "ledger", "verify"],
        ["config", "show", "--origin", "--json"], ["history", "--json"], ["metrics", "--json"],
    ],
)  # fmt: skip
def test_json_before_or_after_the_command_is_one_document(arguments: list[str], configured: Path) -> None:
    done = immutag(*arguments, cwd=configured)
    assert (done.returncode, done.stderr) == (0, "")
    json.loads(done.stdout)
    assert done.stdout.count("\n") == 1


@pytest.mark.parametrize("after", [False, True])
def test_the_folder_and_the_configuration_may_be_named_on_either_side(after: bool, tmp_path: Path) -> None:
    folder = tmp_path / "service"
    folder.mkdir()
    (folder / "other.toml").write_text(CONFIGURATION)
    options = ["-C", "service", "--config", "other.toml"]
    arguments = ["config", "show", *options] if after else [*options, "config", "show"]
    assert 'image.repository = "127.0.0.1:9/api"' in immutag(*arguments, cwd=tmp_path).stdout


@pytest.mark.parametrize("folder", ["servce", "file", "loop", "loop/in", "n" * 300])
@pytest.mark.parametrize("name", ["status", "init", "doctor"])
def test_a_mistyped_folder_is_not_taken_for_the_one_above(name: str, folder: str, configured: Path) -> None:
    (configured / "file").write_text("")
    (configured / "loop").symlink_to("loop")
    finished = immutag("-C", folder, name, "--json", cwd=configured)
    assert error_of(finished)["message"] == "there is no such folder to start from"
    assert finished.returncode == ConfigInvalid.exit_status


def test_a_folder_that_is_gone_is_said_so(tmp_path: Path) -> None:
    gone = 'import os, sys; os.rmdir(os.getcwd()); from immutag.cli import main; sys.exit(main(["status"]))'
    (tmp_path / "gone").mkdir()
    finished = subprocess.run(
        [sys.executable, "-c", gone], cwd=tmp_path / "gone", capture_output=True, text=True, check=False
    )
    assert finished.returncode == ConfigInvalid.exit_status
    assert "there is no such folder" in finished.stderr


def test_a_configuration_may_be_named_in_the_environment(tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text(CONFIGURATION)
    env = {"IMMUTAG_CONFIG": str(tmp_path / "other.toml")}
    assert immutag("config", "show", cwd=Path("/"), env=env).returncode == 0


def test_a_json_log_is_json_lines_only(configured: Path) -> None:
    for arguments in (["deploy", "--env", "production", "--sha", SHA], ["statsu"], ["status", "nowhere"]):
        done = immutag("--log-format", "json", *arguments, cwd=configured)
        assert done.returncode
        lines = done.stderr.splitlines()
        assert lines
        assert all(isinstance(json.loads(line), dict) for line in lines)


def test_an_error_in_words_says_what_was_expected_found_and_comes_next(configured: Path) -> None:
    done = immutag("status", "nowhere", cwd=configured)
    assert (done.returncode, done.stdout) == (22, "")
    first, *rest = done.stderr.splitlines()
    assert first.startswith("immutag: CONFIG_INVALID: ")
    assert [line.split()[0] for line in rest] == ["expected", "found", "next"]


def test_colours_are_for_terminals(configured: Path) -> None:
    done = immutag("status", cwd=configured, env={"TERM": "xterm-256color"})
    assert "\x1b" not in done.stdout + done.stderr
    assert "\x1b[" in _on_a_terminal("status", cwd=configured, env={})
    for env in ({"NO_COLOR": "1"}, {"CI": "true"}, {"TERM": "dumb"}):
        assert "\x1b" not in _on_a_terminal("status", cwd=configured, env=env)
    assert "\x1b" not in _on_a_terminal("status", "--no-color", cwd=configured, env={})


def _on_a_terminal(*arguments: str, cwd: Path, env: Mapping[str, str]) -> str:
    """What the command writes to a terminal."""
    ours, theirs = os.openpty()
    with subprocess.Popen(
        command(*arguments), cwd=cwd, env={**os.environ, "TERM": "xterm", **env},
        stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs,
    ) as program:  # fmt: skip
        os.close(theirs)
        said = b""
        while block := _read(ours):
            said += block
        program.wait(timeout=30)
    os.close(ours)
    return said.decode()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # Linux: the other end is closed
        return b""


# --- readers, disks and signals


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    for arguments in (["help", "exit-codes"], ["--help"], ["completion", "bash"]):
        read, write = os.pipe()
        os.close(read)
        done = subprocess.run(
            command(*arguments), cwd=tmp_path, stdout=write, stderr=subprocess.PIPE, text=True, check=False
        )
        os.close(write)
        assert (done.returncode, done.stderr) == (0, "")


def test_a_full_disk_is_not_success(tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command("help", "exit-codes"),
            cwd=tmp_path,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert "No space left" in done.stderr


def test_closed_outputs_are_no_error(tmp_path: Path) -> None:
    line = ["sh", "-c", 'exec "$@" >&- 2>&-', "sh", *command("--version")]
    assert subprocess.run(line, cwd=tmp_path, check=False).returncode == 0


def test_a_terminal_that_knows_no_unicode_gets_ascii(configured: Path) -> None:
    done = immutag("--help", cwd=configured, env={"PYTHONIOENCODING": "ascii", "LC_ALL": "C"})
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("number", "status", "code"),
    [
        (signal.SIGINT, 130, "INTERRUPTED"),
        (signal.SIGTERM, 143, "TERMINATED"),
        (signal.SIGHUP, 129, "TERMINATED"),
    ],
)
def test_a_signal_unwinds_and_says_so(number: int, status: int, code: str, configured: Path) -> None:
    hold = immutag("hold", "set", "--env", "production", "--reason", "to have an entry", cwd=configured)
    assert hold.returncode == 0
    with subprocess.Popen(
        command("history", "--follow", "--json"), cwd=configured,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as program:  # fmt: skip
        assert program.stdout
        assert json.loads(program.stdout.readline())["type"] == "held"
        program.send_signal(number)
        said, complained = program.communicate(timeout=30)
    assert program.returncode == status
    assert json.loads(said)["error"]["code"] == code
    assert "Traceback" not in complained


# --- defects


def test_a_defect_has_a_short_message_and_a_traceback_when_asked(tmp_path: Path) -> None:
    code = (
        "import sys, immutag.cli.help\n"
        "def run(options): raise ZeroDivisionError('hush')\n"
        "immutag.cli.help.run = run\n"
        "from immutag.cli import main; sys.exit(main())"
    )
    for arguments, shown in ((["help"], False), (["help", "-v"], True)):
        done = _python(code, arguments, tmp_path)
        assert done.returncode == 1
        assert done.stderr.startswith("immutag: DEFECT: ")
        assert ("Traceback" in done.stderr, "hush" in done.stderr) == (shown, shown)


def _python(code: str, arguments: Sequence[str], cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=cwd, capture_output=True, text=True, check=False
    )


def test_every_command_takes_the_global_options() -> None:
    text = {name: grammar([name]) for name in COMMANDS}
    for name, parser in text.items():
        nested = {
            "hold": ["set"],
            "ledger": ["head"],
            "config": ["show"],
            "policy": ["status"],
            "sbom": ["show", "a"],
            "retention": ["keep"],
            "workflows": ["check"],
        }.get(name, [])
        options = parser.parse_args(
            [name, *nested, "-C", "x", "--config", "y", "--json", "--log-format", "json", "-q", "--no-color",
             *{"deploy": ["--env", "e"], "rollback": ["--env", "e"], "hold": ["--env", "e", "--reason", "r"],
               "show": ["a"], "verify": ["a"], "completion": ["bash"], "sign": ["a"],
                  "attestations": ["a"]}.get(name, [])]
        )  # fmt: skip
        assert (options.directory, options.config, options.json, options.log_format) == (
            "x",
            "y",
            True,
            "json",
        )
        assert (options.loudness, options.no_color) == (-1, True)
