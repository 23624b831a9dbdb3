"""Where this immutag was installed from, as installers record it (PEP 610)."""

import json
import subprocess
from importlib import metadata
from pathlib import Path

import pytest

from immutag.cli.own_source import own_source

SHA = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder like the one that an installer leaves beside a package; direct_url.json is the test's."""
    folder = tmp_path / "immutag-1.dist-info"
    folder.mkdir()
    distribution = metadata.PathDistribution(folder)
    monkeypatch.setattr(metadata, "distribution", lambda _: distribution)
    return folder / "direct_url.json"


@pytest.mark.parametrize(
    "url",
    ["https://github.com/owner/immutag.git", "ssh://git@github.com/owner/immutag", "https://u:p@github.com/owner/immutag"],
)  # fmt: skip
def test_from_a_repository_it_is_that_at_its_commit(url: str, recorded: Path) -> None:
    recorded.write_text(json.dumps({"url": url, "vcs_info": {"vcs": "git", "commit_id": SHA}}))
    assert own_source() == f"github.com/owner/immutag@{SHA}"


def test_from_a_clone_it_is_the_clones_origin_and_commit(recorded: Path, tmp_path: Path) -> None:
    clone = tmp_path / "clone with spaces"
    git = ("git", "-C", str(clone), "-c", "user.name=a", "-c", "user.email=a@example.com")
    subprocess.run(["git", "init", "--quiet", clone], check=True)
    subprocess.run([*git, "commit", "--quiet", "--allow-empty", "-m", "x"], check=True)
    recorded.write_text(json.dumps({"url": clone.as_uri(), "dir_info": {"editable": True}}))
    assert own_source() is None, "it has no origin"
    subprocess.run([*git, "remote", "add", "origin", "git@github.com:owner/immutag.git"], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout
    assert own_source() == f"github.com/owner/immutag@{head.strip()}"


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"url": 1}', '{"url": "x", "vcs_info": {}}', "null"])
def test_what_says_nothing_is_no_source(text: str, recorded: Path) -> None:
    recorded.write_text(text)
    assert own_source() is None


def test_from_an_index_it_is_not_known(recorded: Path) -> None:
    assert not recorded.exists()
    assert own_source() is None
