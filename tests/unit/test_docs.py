"""The documentation and the code agree: commands, exit statuses, keys and their defaults."""

import ast
import json
import re
from pathlib import Path

import pytest

from immutag.cli.commands import COMMANDS
from immutag.cli.help import exit_codes
from immutag.core.errors import KINDS
from immutag.settings import load

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
FULL = """\
[image]
repository = "ghcr.io/owner/api"
[environments.one]
target = "podman"
health = { url = "http://127.0.0.1/" }
[environments.two]
target = "command"
apply = ["x"]
"""


def rows(page: Path) -> list[list[str]]:
    """The cells of every table's rows."""
    lines = [line.strip() for line in page.read_text().splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    return [row for row in cells if not set(row[0]) <= {"-", ":"}]


def test_every_exit_status_is_in_the_reference_with_its_meaning() -> None:
    documented = [
        (int(status), code.strip("`"), meaning)
        for status, code, meaning in rows(DOCS / "reference/exit-codes.md")
        if status != "status"
    ]
    assert documented == exit_codes()


def test_the_readme_names_every_code() -> None:
    text = (ROOT / "README.md").read_text()
    for kind in KINDS:
        assert re.search(rf"\b{kind.exit_status}\b.*\b{kind.code}\b", text), kind.code


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_in_the_reference(name: str) -> None:
    first = [row[0] for row in rows(DOCS / "reference/command-line.md")]
    assert [cell for cell in first if cell.startswith((f"`immutag {name}`", f"`immutag {name} "))]


def test_the_reference_names_no_command_that_is_not_there() -> None:
    text = "\n".join(page.read_text() for page in [ROOT / "README.md", *DOCS.rglob("*.md")])
    named = set(re.findall(r"(?:^|`)(?:[A-Z_]+=\S* )?immutag ([a-z][a-z-]*)\b", text, re.MULTILINE))
    assert named
    assert named <= set(COMMANDS)


def test_no_error_sends_anybody_to_a_command_that_is_not_there() -> None:
    remedies = [
        ast.unparse(node.value)
        for file in (ROOT / "src").rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.keyword) and node.arg == "remedy"
    ]
    named = set(re.findall(r"\bimmutag (?:-C DIR )?([a-z][a-z-]*)", "\n".join(remedies)))
    assert len(named) > 10
    assert named - {"that", "in"} <= set(COMMANDS)  # "the immutag that …"


def test_the_runbook_quotes_what_is_said() -> None:
    said = " ".join(file.read_text() for file in (ROOT / "src").rglob("*.py"))
    quoted = [
        text for row in rows(DOCS / "how-to/rollback-runbook.md") for text in re.findall(r"\*(.+)\*", row[0])
    ]
    assert len(quoted) >= 5
    assert [text for text in quoted if text not in said] == []


def documented_keys() -> dict[str, str]:
    """Every documented key, and what the page says of its default."""
    found = rows(DOCS / "reference/configuration.md")
    return {row[0].strip("`"): row[1] for row in found if row[0] != "key"}


def real_keys(folder: Path) -> dict[str, object]:
    """Every key of a configuration that has them all, and its value where nobody said anything."""
    (folder / "immutag.toml").write_text(FULL)
    found: dict[str, object] = {}
    for origin in load(folder, None, {}).origins:
        key = re.sub(r"^environments\.(?:one|two)\.", "environments.NAME.", origin.key)
        key = key.replace('registry."ghcr.io"', 'registry."HOST"')
        found[key] = origin.value if origin.source == "default" else ...
    return found


def test_every_key_is_documented_and_every_documented_key_is_there(tmp_path: Path) -> None:
    assert set(documented_keys()) == set(real_keys(tmp_path))


def test_documented_defaults_hold(tmp_path: Path) -> None:
    documented, checked = documented_keys(), 0
    for key, value in real_keys(tmp_path).items():
        cell = documented[key]
        if value is None:
            assert cell in ("none", "the service's name and the environment's"), key
        elif re.fullmatch("`[^`]+`", cell):
            assert json.loads(cell.strip("`")) == value, key
            checked += 1
        else:
            assert cell == "required" or value is ... or key in _IN_WORDS, key
    assert checked > 20


_IN_WORDS = {"image.staging", 'registry."HOST".plain_http', "environments.NAME.production"}


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.md")), ids=lambda page: page.name)
def test_links_to_files_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
        assert "://" in target or (page.parent / target).exists(), target
