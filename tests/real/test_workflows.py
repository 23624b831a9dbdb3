"""The workflows as they run: rendered for a service, and run by act with our action (DR-020)."""

import json
import re
from pathlib import Path

import pytest

from tests.parts.act import SOURCE, Act, forget_queue
from tests.parts.keys import cosign_pem, new_key, public_pem
from tests.parts.peers import Crane
from tests.parts.sigstore import Sigstore
from tests.parts.site import Site

pytestmark = pytest.mark.slow


@pytest.fixture
def act(site: Site, tmp_path: Path) -> Act:
    """The site with its workflows committed, and a ledger that every job sees."""
    site.json("workflows", "init", "--source", SOURCE)
    forget_queue(site.folder / ".github" / "workflows")
    site.commit("workflows")
    (tmp_path / "ledger").mkdir()
    ledger = {
        "IMMUTAG_LEDGER_URL": f"sqlite:{tmp_path / 'ledger' / 'ledger.db'}",
        "IMMUTAG_LEDGER_ACCEPT_UNSHARED": "true",
    }
    return Act(site, tmp_path / "act", ledger)


def test_a_service_goes_through_its_workflows(act: Act, site: Site, crane: Crane) -> None:
    first = site.sha
    act.env["IMMUTAG_SBOM_ENABLED"] = "true"
    built = act.push()
    del act.env["IMMUTAG_SBOM_ENABLED"]
    assert built.ok, built.log
    assert str(first) in crane.tags(site.repository)
    (file,) = (act.artifacts / f"image-metadata-{first}").iterdir()
    digest = crane.digest(f"{site.repository}:{first}")
    assert json.loads(file.read_text())["image_digest"] == digest
    assert list((act.artifacts / f"sbom-{first}").rglob(f"sbom-{first}.*"))
    assert str(first) in site.answer(), "main's build is deployed by itself"
    assert "### Released" in built.summaries
    assert "### Deployed" in built.summaries

    site.checkout.git("switch", "--quiet", "--create", "topic")
    topic = site.commit("an idea")
    built = act.push()
    assert built.ok, built.log
    assert crane.tags(f"{site.repository}-staging") == [str(topic)]
    assert str(topic) not in crane.tags(site.repository)
    assert str(first) in site.answer(), "a branch is not deployed"

    refused = act.dispatch("deploy", sha=str(topic), environment="production")
    assert not refused.ok
    assert "POLICY_VIOLATION" in refused.annotations
    assert "### POLICY&#95;VIOLATION" in refused.summaries
    deployed = act.dispatch("deploy", sha=str(topic), environment="staging")
    assert deployed.ok, deployed.log
    assert (site.box / "applied").read_text().split() == [str(topic)]

    site.checkout.git("switch", "--quiet", "main")
    second = site.commit("better")
    built = act.push()
    assert built.ok, built.log
    assert str(second) in site.answer()

    reason = 'it\'s $(touch pwned) `touch pwned` "slow"'
    back = act.dispatch("rollback", IMAGE_SHA=str(first), environment="production", reason=reason)
    assert back.ok, back.log
    assert str(first) in site.answer()
    newest = site.json("history", "--environment", "production", "--limit", "10", env=act.env)
    assert not list(act.box.rglob("pwned"))
    assert reason in json.dumps([entry["fact"] for entry in newest]).replace('\\"', '"')

    third = site.commit("a fix, but nobody lifted the hold")
    held = act.push()
    assert not held.ok
    assert "POLICY_VIOLATION" in held.annotations
    assert "held" in held.annotations
    assert str(third) in crane.tags(site.repository), "it is released all the same"
    assert str(first) in site.answer(), "and does not undo the rollback"


def test_the_action_installs_immutag_of_its_own_commit(act: Act, site: Site) -> None:
    site.json("release", env=act.env)
    deployed = act.dispatch("deploy", installed=False, sha=str(site.sha), environment="staging")
    assert deployed.ok, deployed.log
    assert (site.box / "applied").read_text().split() == [str(site.sha)]


@pytest.mark.parametrize("sha", ["", "latest", "; touch pwned"])
def test_a_rollback_to_anything_but_a_full_sha_ends_before_the_environment(sha: str, act: Act) -> None:
    refused = act.dispatch("rollback", IMAGE_SHA=sha, environment="production")
    assert not refused.ok
    assert re.search(r"MISSING_SHA|POLICY_VIOLATION", refused.annotations)
    assert "[api-rollback/rollback]" not in refused.log


def test_jobs_that_share_nothing_but_a_branch_share_the_ledger(act: Act, site: Site, tmp_path: Path) -> None:
    """What a team has without a server: nothing of one job's disk is there in the next."""
    site.checkout.git("init", "--quiet", "--bare", tmp_path / "shared.git")
    act.env["IMMUTAG_LEDGER_URL"] = f"git+file://{tmp_path / 'shared.git'}#immutag-ledger"
    del act.env["IMMUTAG_LEDGER_ACCEPT_UNSHARED"]
    first = site.sha
    built = act.push()
    assert built.ok, built.log
    second = site.commit("better")
    assert act.push().ok
    back = act.dispatch("rollback", IMAGE_SHA=str(first), environment="production")
    assert back.ok, back.log
    assert str(first) in site.answer()
    held = act.push()
    assert "held" in held.annotations, f"of {second} again"


def test_a_key_and_its_password_are_in_the_build_and_nowhere_else(act: Act, site: Site) -> None:
    key, password = new_key("P-256"), "of-the-tests-only"
    pem = cosign_pem(key, password.encode()).decode()
    act.env |= {"IMMUTAG_TRUST_KEY": "cosign.key", "IMMUTAG_TRUST_PUBLIC_KEYS": "cosign.pub"}
    act.secrets |= {"COSIGN_PRIVATE_KEY": pem, "COSIGN_PASSWORD": password}
    sha = site.commit("sign", {"cosign.pub": public_pem(key)})
    built = act.push()
    assert built.ok, built.log
    assert not [line for line in (password, *pem.splitlines()[1:-1]) if line in built.log]
    assert str(sha) in site.answer(), "a deployment that cannot sign its summary is a deployment"
    (file,) = (act.artifacts / f"image-metadata-{sha}").iterdir()
    assert json.loads(file.read_text())["signature_status"] == "verified"


def test_a_build_signs_keyless_as_the_workflow_that_it_is(act: Act, site: Site, sigstore: Sigstore) -> None:
    identity = f'{{ issuer = "{sigstore.workflow_issuer}", subject = "{sigstore.workflow()}" }}'
    act.env |= {
        **sigstore.workflow_environment(),
        "IMMUTAG_TRUST_KEYLESS": "true",
        "IMMUTAG_TRUST_TRUSTED_ROOT": str(sigstore.trusted_root),
        "IMMUTAG_TRUST_SIGNING_CONFIG": str(sigstore.signing_config),
        "IMMUTAG_TRUST_IDENTITIES": f"[{identity}]",
    }
    built = act.push()
    assert built.ok, built.log
    (file,) = (act.artifacts / f"image-metadata-{site.sha}").iterdir()
    assert json.loads(file.read_text())["signature_status"] == "verified"
