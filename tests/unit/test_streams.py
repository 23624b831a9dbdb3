"""Standard streams and options that are not what a person has: closed, full, empty, in the form of JSON."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.unit.test_cli import CONFIGURATION, command, error_of, immutag


@pytest.fixture
def configured(tmp_path: Path) -> Path:
    (tmp_path / "immutag.toml").write_text(CONFIGURATION)
    return tmp_path


@pytest.mark.parametrize("name", ["show", "verify", "attestations", "sign", "adopt"])
def test_a_closed_standard_input_names_nothing(name: str, configured: Path) -> None:
    line = ["sh", "-c", 'exec "$@" <&-', "sh", *command(name, "-", "--json")]
    done = subprocess.run(line, cwd=configured, capture_output=True, text=True, check=False)
    assert (done.returncode, error_of(done)["message"]) == (2, "standard input names nothing")


@pytest.mark.parametrize("form", [["--json"], [], ["--log-format", "json"]])
def test_a_failure_keeps_its_status_where_nobody_can_be_told(form: list[str], configured: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command(*form, "nonsense"), cwd=configured, stdout=full, stderr=full, check=False
        )
    assert done.returncode == 2


def test_the_contract_that_is_yaml_is_one_document_for_programs(tmp_path: Path) -> None:
    """Also where the locale is not Unicode: the file is."""
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "utf-8"}
    said = immutag("schema", "sbom-linkage", cwd=tmp_path)
    document = json.loads(immutag("schema", "sbom-linkage", "--json", cwd=tmp_path, env=plain).stdout)
    assert document == {"name": "sbom-linkage", "text": said.stdout.rstrip("\n")}


@pytest.mark.parametrize(
    "arguments",
    [
        ["ledger", "verify", "--against", ""], ["ledger", "prove", "--consistency", ""],
        ["ledger", "verify", "--against", "repository", "--checkpoint", ""], ["history", "--env", " "],
        ["release", "--metadata-file", ""], ["release", "--from="], ["--config", "", "status"],
        ["policy", "status", "--environment="], ["hold", "set", "--env", "production", "--reason", " "],
    ],
)  # fmt: skip
def test_an_option_that_came_out_empty_is_not_taken_for_none(arguments: list[str], configured: Path) -> None:
    done = immutag(*arguments, "--json", cwd=configured)
    assert (done.returncode, error_of(done)["code"]) == (2, "USAGE")


@pytest.mark.parametrize("form", [[], ["--json"]])
@pytest.mark.parametrize("entries", [1, 3])
def test_who_follows_ends_when_nobody_reads_any_more(entries: int, form: list[str], configured: Path) -> None:
    """`history --follow | head -1`, also where nothing more happens."""
    for reason in "abc"[:entries]:
        assert immutag("hold", "set", "--env=production", "--reason", reason, cwd=configured).returncode == 0
    with subprocess.Popen(
        command(*form, "history", "--follow"), cwd=configured, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as program:
        assert program.stdout and program.stderr
        assert program.stdout.readline()
        program.stdout.close()
        assert program.wait(timeout=20) == 0
        assert program.stderr.read() == b""
