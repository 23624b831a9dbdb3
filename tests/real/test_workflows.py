"""The workflows as they run: rendered for a service, and run by act with our action (DR-020)."""

import json
from pathlib import Path

import pytest

from tests.parts.act import SOURCE, Act, forget_queue
from tests.parts.peers import Crane
from tests.parts.site import Site

pytestmark = pytest.mark.slow


@pytest.fixture
def act(site: Site, tmp_path: Path) -> Act:
    """The site with its workflows committed, and a ledger that every job sees."""
    site.json("workflows", "init", "--source", SOURCE)
    forget_queue(site.folder / ".github" / "workflows")
    site.commit("workflows")
    ledger = {
        "IMMUTAG_LEDGER_URL": f"sqlite:{tmp_path / 'ledger' / 'ledger.db'}",
        "IMMUTAG_LEDGER_ACCEPT_UNSHARED": "true",
    }
    (tmp_path / "ledger").mkdir()
    return Act(site, tmp_path / "act", dict(ledger))


def test_a_service_goes_through_its_workflows(act: Act, site: Site, crane: Crane) -> None:
    first = site.sha
    built = act.push(installed=False)
    assert built.ok, built.log
    assert crane.tags(site.repository) == [str(first)]
    (file,) = (act.artifacts / f"image-metadata-{first}").iterdir()
    metadata = json.loads(file.read_text())
    assert metadata["image_digest"] == crane.digest(f"{site.repository}:{first}")
    assert str(first) in site.answer(), "main's build was deployed by itself"
